"""Whether a charge that is well written can be true: rates, counts, noise against clip and event, times."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import lru_cache

from fedgan.privacy.events import Composed, Event, Gaussian, PoissonSampled, SelfComposed
from fedgan.privacy.ledger_clock import goes_back, is_time
from fedgan.privacy.ledger_line import LedgerLine

_MOST_COUNT = 10**12  # repetitions that no training has
_HEX = re.compile(r"[0-9a-f]{64}")
_SAME = 1e-9  # relative: noise_std is a product of two floats


def implausible(line: LedgerLine, before: LedgerLine | None) -> str | None:
    """Return what cannot be true of a well-formed `line` after a plausible `before`, or None."""
    row = line.row
    if not is_time(row["time"]):
        return f"time is {row['time']!r}, not a UTC time such as 2026-01-31T12:00:00.000000Z"
    if before is not None and goes_back(line, before):
        return (
            f"its time goes back: {row['time']} is before {before.row['time']}, of the line above, and a ledger's "
            "writer refuses to charge under such a clock"
        )
    if not _HEX.fullmatch(line.dataset):
        return f"dataset is {line.dataset!r}, not a commitment of 64 hexadecimal digits"
    if line.event is not None:
        return _implausible_charge(line.event, row["clip"], row["noise_std"])
    if "recovered" in row and not _plausible_recovery(row["recovered"]):
        return "recovered does not say how many bytes of what digest were cut off"
    return None


def suspicious(line: LedgerLine) -> str | None:
    """Return what is odd about a plausible `line`, without being impossible, or None."""
    if line.event is not None and line.row["delta"] > 1 / line.records:
        return f"delta {line.row['delta']:g} exceeds 1/records: publishing one record at random would satisfy it"
    return None


@lru_cache(maxsize=4096)
def _implausible_charge(event: Event, clip: float, noise_std: float) -> str | None:
    noises: list[float] = []
    for part in _parts(event):
        match part:
            case PoissonSampled(probability, _) if not 0 < probability <= 1:
                return f"a sampling rate of {probability!r} does not lie in (0, 1]"
            case SelfComposed(count, _) if count > _MOST_COUNT:
                return f"a count of {count} is more than any training has"
            case Gaussian(noise_multiplier):
                noises.append(noise_multiplier)
    if not noises:
        return "its event holds no mechanism"
    if not clip > 0:
        return f"clip is {clip:g}, not above 0"
    if not any(math.isclose(noise_std, clip * noise, rel_tol=_SAME) for noise in noises):
        return f"noise_std is {noise_std!r}, but clip times the noise multiplier of its event is {clip * noises[0]!r}"
    return None


def _parts(event: Event) -> Iterator[Event]:
    yield event
    match event:
        case PoissonSampled(_, inner) | SelfComposed(_, inner):
            yield from _parts(inner)
        case Composed(events):
            for inner in events:
                yield from _parts(inner)


def _plausible_recovery(recovered: object) -> bool:
    return (
        isinstance(recovered, dict)
        and recovered.keys() == {"bytes", "sha256"}
        and type(recovered["bytes"]) is int
        and recovered["bytes"] > 0
        and isinstance(recovered["sha256"], str)
        and bool(_HEX.fullmatch(recovered["sha256"]))
    )
