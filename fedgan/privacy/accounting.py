"""From events to epsilon, and from a target epsilon to the noise that meets it. Adjacency: add or remove one record."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from fedgan.errors import bad_value
from fedgan.privacy.accountant import ACCOUNTANTS, INTERVALS, basic_mechanism
from fedgan.privacy.events import Event, tally
from fedgan.privacy.search import smallest_within

_Counts = frozenset[tuple[tuple[float, float], int]]


def epsilon(events: Iterable[Event], *, delta: float, accountant: str = "pld") -> float:
    """Return the epsilon at `delta` that all `events` together cost.

    Args:
        events: what was done to the records, in any order.
        delta: in (0, 1).
        accountant: a name in `ACCOUNTANTS`: "pld" (tight, the default), "rdp" or "prv".

    Returns:
        Epsilon >= 0: 0.0 for no events, `math.inf` where an event has no noise.

    Raises:
        UsageError: `delta` out of range, an unknown accountant, or an event that it cannot interpret.
    """
    return _epsilon(basic_counts(events), check_delta(delta), accountant, coarse=False)


def epsilon_interval(events: Iterable[Event], *, delta: float, accountant: str) -> tuple[float, float] | None:
    """Return the least and the greatest epsilon that `accountant` finds possible; None if it bounds one side alone.

    The greatest value is that of `epsilon`. Where `events` cost nothing or no noise bounds them there is no interval.
    """
    check_delta(delta)
    counts = basic_counts(events)
    ACCOUNTANTS[accountant]  # its module knows the interval
    if accountant not in INTERVALS or not counts or _epsilon(counts, delta, accountant, coarse=False) == math.inf:
        return None
    return _interval(counts, delta, accountant)


def calibrate_noise(
    target_epsilon: float,
    *,
    delta: float,
    events_of: Callable[[float], Sequence[Event]],
    accountant: str = "pld",
) -> float:
    """Return the smallest noise multiplier whose events cost at most `target_epsilon` at `delta`.

    The result never exceeds the target by the accountant at full precision, and at most a thousandth less noise would.

    Args:
        target_epsilon: in (0, inf).
        delta: in (0, 1).
        events_of: maps a noise multiplier to the events that it leads to; more noise must never cost more.
        accountant: a name in `ACCOUNTANTS`.

    Raises:
        UsageError: a value out of range, or no amount of noise meets the target (key `privacy.epsilon`).
    """
    if not 0 < target_epsilon < math.inf:
        raise bad_value("privacy.epsilon", target_epsilon, "a positive number")
    check_delta(delta)

    def cost(noise: float, *, coarse: bool) -> float:
        return _epsilon(basic_counts(events_of(noise)), delta, accountant, coarse=coarse)

    floor = cost(_MOST_NOISE, coarse=False)
    if floor > target_epsilon:
        raise bad_value(
            "privacy.epsilon",
            target_epsilon,
            f"more than {floor:.4g}, which the rest of the plan costs even without this part",
        )
    rough = smallest_within(lambda noise: cost(noise, coarse=True), target_epsilon, start=1.0, most=_MOST_NOISE)
    fine = smallest_within(
        lambda noise: cost(noise, coarse=False), target_epsilon, start=rough.x, most=_MOST_NOISE, slope=rough.slope
    )
    return fine.x


def check_delta(delta: float) -> float:
    """Return `delta`, or raise UsageError if it does not lie in (0, 1)."""
    if not 0 < delta < 1:
        raise bad_value("privacy.delta", delta, "a number between 0 and 1, below 1/records")
    return delta


_MOST_NOISE = 1e6
_NO_NOISE = 1e-9  # an epsilon above 1e17 is none, and its powers overflow
_MOST_COUNT = 10**12  # more repetitions than any training has: the bound given up for them is still a bound


def basic_counts(events: Iterable[Event]) -> _Counts:
    """Return how often each subsampled Gaussian (sampling probability, noise multiplier) ran in `events`."""
    counts: Counter[tuple[float, float]] = Counter()
    for event, count in tally(events).items():
        probability, noise = basic_mechanism(event)
        if probability > 0:
            counts[probability, noise] += count
    return frozenset(counts.items())


@lru_cache(maxsize=1024)
def _epsilon(counts: _Counts, delta: float, accountant: str, *, coarse: bool) -> float:
    account = ACCOUNTANTS[accountant]
    if not counts:
        return 0.0
    if any(noise < _NO_NOISE or count > _MOST_COUNT for (_, noise), count in counts):
        return math.inf
    value = account(dict(counts), delta=delta, coarse=coarse)
    return math.inf if math.isnan(value) else max(0.0, value)  # the larger of 0 and no number is 0


@lru_cache(maxsize=1024)
def _interval(counts: _Counts, delta: float, accountant: str) -> tuple[float, float] | None:
    ends = INTERVALS[accountant](dict(counts), delta=delta)
    return ends and (max(0.0, ends[0]), max(0.0, ends[1]))
