"""The whole privacy profile of some events, and the same events with more or less noise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fedgan.privacy.accountant import ACCOUNTANTS
from fedgan.privacy.accountants.pld import privacy_losses
from fedgan.privacy.accounting import basic_counts
from fedgan.privacy.events import Event

if TYPE_CHECKING:
    from fedgan.privacy.loss_distribution import LossDistribution

LARGEST_EPSILON = 64.0
"""No profile is made where epsilon is above this: no attack tells such an epsilon from a larger one."""
_HOPELESS = 1.5 * LARGEST_EPSILON


class PrivacyProfile:
    """Every (epsilon, delta) at which some events are private, in both directions of adding and removing a record."""

    def __init__(self, losses: tuple[LossDistribution, ...]) -> None:
        self._losses = losses

    def epsilon(self, delta: float) -> float:
        """Return an upper bound on epsilon at `delta` in (0, 1)."""
        return max(loss.epsilon(delta) for loss in self._losses)

    def deltas(self, epsilons: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return upper bounds (P,) on delta at `epsilons` (P,), each in [0, 128]."""
        highest: npt.NDArray[np.float64] = np.max([loss.deltas(epsilons) for loss in self._losses], axis=0)
        return highest


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
    losses = privacy_losses(counts, coarse=True)
    profile = None if losses is None else PrivacyProfile(losses)
    return None if profile is None or profile.epsilon(delta) > LARGEST_EPSILON else profile
