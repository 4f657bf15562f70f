"""The f-DP bound for what was charged: the ledgers' own events, with more noise or with less.

An epsilon at one delta fits many mechanisms. Here the claim is the whole trade-off curve of the charged events. If they
are what really happened, noise scale 1 is refuted with probability `significance` at most, so that a bound above
their epsilon is a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fedgan.audit.attack.curves import Curve, profile_curve
from fedgan.audit.attack.f_dp import refutes
from fedgan.audit.attack.guesses import Guesses
from fedgan.privacy.events import Event
from fedgan.privacy.profile import LARGEST_EPSILON, privacy_profile

_RATIO = 1.1  # between neighbouring noise scales
_FURTHEST = 64  # steps of it in either direction
_POINTS = 200
_FAINTEST = 1e-12  # a curve is made of the profile's points up to the epsilon of this delta


class NoiseFamily:
    """Noise scales 1.1^-j of some clients' events, j from -64 to 64; each is profiled when it is first asked for.

    Args:
        clients: each client's events, one client at least. Canaries of several clients are guessed together, so the
            curve is that of the largest delta at every epsilon (the largest blow-up would not be concave).
        delta: at which epsilons are reported, in (0, 1).
    """

    def __init__(self, clients: Sequence[Sequence[Event]], *, delta: float) -> None:
        self._clients = [tuple(events) for events in clients]
        self._delta = delta
        self._members: dict[int, tuple[Curve, float] | None] = {}

    def member(self, step: int) -> tuple[Curve, float] | None:
        """Return curve and epsilon at noise scale 1.1^-step; None where the noise is too little to be told apart."""
        if step not in self._members:
            self._members[step] = self._profile(_RATIO**-step)
        return self._members[step]

    def bound(self, guesses: Guesses, *, significance: float) -> float:
        """Return the epsilon of the least noise that the guesses refute at `significance`, 0.0 if they refute none."""

        def refuted(step: int) -> bool:
            member = self.member(step)
            return member is not None and refutes(guesses, member[0], significance)

        best = _last(refuted, _FURTHEST)
        member = None if best is None else self.member(best)
        return 0.0 if member is None else member[1]

    def _profile(self, scale: float) -> tuple[Curve, float] | None:
        profiles = [privacy_profile(events, delta=self._delta, noise_scale=scale) for events in self._clients]
        known = [profile for profile in profiles if profile is not None]
        if len(known) < len(profiles):
            return None
        furthest = max(profile.epsilon(_FAINTEST) for profile in known)
        epsilons = np.linspace(0.0, min(furthest, 2 * LARGEST_EPSILON), _POINTS)
        deltas = np.max([profile.deltas(epsilons) for profile in known], axis=0)
        return profile_curve(epsilons, deltas), max(profile.epsilon(self._delta) for profile in known)


def _last(refuted: Callable[[int], bool], furthest: int) -> int | None:
    """Return the last step in [-furthest, furthest] that is refuted, where each refutes all before it; None if none."""
    low, high = 0, 0
    width = 2
    if refuted(0):
        while high < furthest and refuted(high):
            low, high, width = high, min(furthest, high + width), 2 * width
        if high == furthest and refuted(high):
            return high
    else:
        while low > -furthest and not refuted(low):
            low, high, width = max(-furthest, low - width), low, 2 * width
        if low == -furthest and not refuted(low):
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low
