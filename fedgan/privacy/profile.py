"""The whole privacy profile of some events, and the same events with more or less noise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from fedgan.privacy.accountant import ACCOUNTANTS
from fedgan.privacy.accountants.pld import privacy_loss
from fedgan.privacy.accounting import basic_counts
from fedgan.privacy.events import Event

LARGEST_EPSILON = 64.0
"""No profile is made where epsilon is above this: no attack tells such an epsilon from a larger one."""
_HOPELESS = 1.5 * LARGEST_EPSILON


class PrivacyProfile:
    """Every (epsilon, delta) at which some events are private, in both directions of adding and removing a record."""

    def __init__(self, loss: Any) -> None:
        self._loss = loss

    def epsilon(self, delta: float) -> float:
        """Return an upper bound on epsilon at `delta` in (0, 1)."""
        return float(self._loss.get_epsilon_for_delta(delta))

    def deltas(self, epsilons: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return upper bounds (P,) on delta at `epsilons` (P,), each in [0, 128]."""
        return np.asarray(self._loss.get_delta_for_epsilon(list(epsilons)), dtype=np.float64)


def privacy_profile(events: Iterable[Event], *, delta: float, noise_scale: float = 1.0) -> PrivacyProfile | None:
    """Return the profile of `events`, all their noise times `noise_scale`, by privacy loss distributions.

    Args:
        events: at least one.
        delta: in (0, 1).
        noise_scale: > 0.

    Returns:
        None where there is so little noise that epsilon at `delta` is above 64.

    Raises:
        UsageError: an event that no accountant interprets.
        ValueError: there is no event.
    """
    counts = {(rate, noise * noise_scale): count for (rate, noise), count in basic_counts(events)}
    if not counts:
        raise ValueError("there is no event to profile")
    # The bound of `rdp` is never that far off, and at once where a distribution takes seconds.
    if min(noise for _, noise in counts) <= 0 or ACCOUNTANTS["rdp"](counts, delta=delta, coarse=True) > _HOPELESS:
        return None
    loss = privacy_loss(counts, coarse=True)
    profile = None if loss is None else PrivacyProfile(loss)
    return None if profile is None or profile.epsilon(delta) > LARGEST_EPSILON else profile
