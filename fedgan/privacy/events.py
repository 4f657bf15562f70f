"""Privacy events: what a mechanism did to the records, as plain data that any accountant can interpret.

Each class maps one to one onto the event of the same name in Google's dp_accounting. Records are adjacent by adding
or removing one; a noise multiplier is a standard deviation in units of the L2 sensitivity.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fedgan.errors import IntegrityError


@dataclass(frozen=True)
class Gaussian:
    """One release of a vector sum with Gaussian noise.

    Args:
        noise_multiplier: standard deviation of the noise over the L2 sensitivity, finite and >= 0.
    """

    noise_multiplier: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.noise_multiplier) and self.noise_multiplier >= 0):
            raise ValueError(f"noise_multiplier must be finite and >= 0, not {self.noise_multiplier!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return the event as the JSON object of a ledger line."""
        return {"kind": "gaussian", "noise_multiplier": self.noise_multiplier}


@dataclass(frozen=True)
class PoissonSampled:
    """`event` applied to a sample in which each record is present independently with `probability` in [0, 1]."""

    probability: float
    event: Event

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must lie in [0, 1], not {self.probability!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return the event as the JSON object of a ledger line."""
        return {"kind": "poisson_sampled", "probability": self.probability, "event": self.event.to_dict()}


@dataclass(frozen=True)
class SelfComposed:
    """`event` applied `count` >= 1 times, each time with fresh randomness (fresh samples included)."""

    count: int
    event: Event

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count must be at least 1, not {self.count!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return the event as the JSON object of a ledger line."""
        return {"kind": "self_composed", "count": self.count, "event": self.event.to_dict()}


@dataclass(frozen=True)
class Composed:
    """Several events applied to the same records, one after the other."""

    events: tuple[Event, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the event as the JSON object of a ledger line."""
        return {"kind": "composed", "events": [event.to_dict() for event in self.events]}


Event = Gaussian | PoissonSampled | SelfComposed | Composed


def from_dict(row: object) -> Event:
    """Return the event that a JSON object describes.

    Raises:
        IntegrityError: an unknown kind, a key too many or too few, or a value out of range.
    """
    if not isinstance(row, Mapping):
        raise IntegrityError(f"an event must be a JSON object, not {row!r}")
    fields = {key: value for key, value in row.items() if key != "kind"}
    try:
        return _build(row.get("kind"), fields)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise IntegrityError(f"an event of kind {row.get('kind')!r} is malformed: {error}") from error


def _build(kind: object, fields: dict[str, Any]) -> Event:
    match kind:
        case "gaussian":
            _expect(fields, {"noise_multiplier"})
            return Gaussian(_number(fields["noise_multiplier"]))
        case "poisson_sampled":
            _expect(fields, {"probability", "event"})
            return PoissonSampled(_number(fields["probability"]), from_dict(fields["event"]))
        case "self_composed":
            _expect(fields, {"count", "event"})
            if type(fields["count"]) is not int:
                raise ValueError(f"count must be an integer, not {fields['count']!r}")
            return SelfComposed(fields["count"], from_dict(fields["event"]))
        case "composed":
            _expect(fields, {"events"})
            if not isinstance(fields["events"], list):
                raise ValueError("events must be a list")
            return Composed(tuple(from_dict(event) for event in fields["events"]))
        case _:
            raise IntegrityError(f"event kind {kind!r} is unknown")


def _expect(fields: Mapping[str, object], keys: set[str]) -> None:
    if set(fields) != keys:
        raise ValueError(f"its keys must be {sorted(keys)}, not {sorted(fields)}")


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def tally(events: Iterable[Event]) -> Counter[Gaussian | PoissonSampled]:
    """Count the mechanisms of `events` after flattening composition.

    Composition inside a sample is not flattened: one sample that n mechanisms share is not n samples of one each
    (Subsample(Compose(M)) differs from Compose(Subsample(M))), so such a PoissonSampled is a key of its own.
    """
    counts: Counter[Gaussian | PoissonSampled] = Counter()
    events = list(events)
    objects = {id(event): event for event in events}
    for key, times in Counter(map(id, events)).items():  # a ledger's equal events are one object, thousands of times
        _count(objects[key], times, counts)
    return counts


def _count(event: Event, times: int, counts: Counter[Gaussian | PoissonSampled]) -> None:
    match event:
        case SelfComposed(count, inner):
            _count(inner, times * count, counts)
        case Composed(inner_events):
            for inner in inner_events:
                _count(inner, times, counts)
        case Gaussian() | PoissonSampled():
            counts[event] += times
