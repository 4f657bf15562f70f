"""The contract of every accountant and the registry that names them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from fedgan.errors import UsageError
from fedgan.privacy.events import Composed, Event, Gaussian, PoissonSampled, SelfComposed
from fedgan.registry import Registry


class Accountant(Protocol):
    """Turns counts of basic mechanisms into an upper bound on epsilon, for add/remove-one adjacency."""

    def __call__(self, counts: Mapping[tuple[float, float], int], *, delta: float, coarse: bool) -> float:
        """Return epsilon at `delta` of the composition of `counts`.

        Args:
            counts: how often each Poisson-subsampled Gaussian (sampling probability in (0, 1], noise multiplier > 0)
                ran; not empty.
            delta: in (0, 1).
            coarse: whether a faster, still valid but looser bound will do.
        """
        ...


class Interval(Protocol):
    """Bounds epsilon from both sides, as an accountant with error bars can."""

    def __call__(self, counts: Mapping[tuple[float, float], int], *, delta: float) -> tuple[float, float] | None:
        """Return the least and the greatest value that epsilon at `delta` can have, or None where it cannot say."""
        ...


INTERVALS: dict[str, Interval] = {}  # by the accountant's name; the greatest value is what the accountant returns
ACCOUNTANTS: Registry[Accountant] = Registry("privacy.accountant", "fedgan.privacy.accountants")


def basic_mechanism(event: Gaussian | PoissonSampled) -> tuple[float, float]:
    """Return (sampling probability, noise multiplier) of the subsampled Gaussian that `event` is equivalent to.

    Gaussians that share one sample are one Gaussian on that sample, with 1/z^2 = sum of 1/z_i^2 (the privacy loss of
    a Gaussian depends on its inputs' distance alone, and squared distances add). Nothing else nested is reduced.

    Raises:
        UsageError: samples of samples, which no accountant here handles.
    """
    if isinstance(event, Gaussian):
        return 1.0, event.noise_multiplier
    if isinstance(event.event, Gaussian):
        return event.probability, event.event.noise_multiplier
    precision = _precision(event.event)
    return event.probability, 0.0 if math.isinf(precision) else precision**-0.5


def _precision(event: Event) -> float:
    """Return the sum of 1/z^2 over the Gaussians of `event`, at least one; infinite where one has no noise."""
    match event:
        case Gaussian(noise_multiplier):
            return math.inf if noise_multiplier < 1e-100 else noise_multiplier**-2
        case SelfComposed(count, inner):
            return count * _precision(inner)
        case Composed(events) if events:
            return sum(_precision(inner) for inner in events)
        case _:
            raise UsageError(f"no accountant handles Poisson sampling of {event!r}")
