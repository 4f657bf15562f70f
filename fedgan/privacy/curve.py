"""Epsilon as it grows from one charge to the next."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from fedgan.privacy.accounting import epsilon
from fedgan.privacy.events import Event, SelfComposed, tally

MOST_COMPUTED = 600
"""How many epsilons a set of curves computes: some hundredths of a second each."""


def epsilon_curve(points: Sequence[Sequence[Event]], *, delta: float, accountant: str, every: int = 1) -> list[float]:
    """Return epsilon at `delta` after each of `points`, which holds what was charged there.

    Args:
        points: the events of each point, possibly none, in order.
        delta: in (0, 1).
        accountant: a name in `fedgan.privacy.accountant.ACCOUNTANTS`.
        every: with k > 1 only every k-th point and the last are computed. Those before take the next computed value,
            which bounds them from above, as epsilon never falls.
    """
    curve: list[float] = []
    spent: list[Event] = []
    spent_new = False
    for number, events in enumerate(points, start=1):
        spent = [SelfComposed(count, event) for event, count in tally((*spent, *events)).items()]
        spent_new |= bool(events)
        if number % every == 0 or number == len(points):
            value = epsilon(spent, delta=delta, accountant=accountant) if spent_new or not curve else curve[-1]
            curve += [value] * (number - len(curve))
            spent_new = False
    return curve


def spacing(points: int, curves: int) -> int:
    """Return at which k-th points to compute `curves` different curves of `points`, so that it takes seconds."""
    return max(1, ceil(points * curves / MOST_COMPUTED))
