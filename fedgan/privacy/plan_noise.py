"""Calibrates the noise of a plan: of the warm start alone, and of the steps that follow it."""

from __future__ import annotations

import math
from functools import lru_cache

from fedgan.privacy.accounting import calibrate_noise
from fedgan.privacy.events import Event, Gaussian, PoissonSampled, SelfComposed


@lru_cache(maxsize=256)
def warm_start_noise_for(epsilon: float, delta: float, accountant: str, shares: tuple[float, ...]) -> float:
    """Return the noise multiplier of a warm start that costs `epsilon`; `shares` of 1/z^2 go to its releases."""
    return calibrate_noise(
        epsilon, delta=delta, events_of=lambda noise: _releases(noise, shares), accountant=accountant
    )


@lru_cache(maxsize=4096)
def step_noise_for(
    warm_noise: float,
    shares: tuple[float, ...],
    probability: float,
    steps: int,
    epsilon: float,
    delta: float,
    accountant: str,
) -> float:
    """Return the noise multiplier of `steps` steps with which they and the warm start together cost `epsilon`."""
    warm_start = _releases(warm_noise, shares) if warm_noise else []
    return calibrate_noise(
        epsilon,
        delta=delta,
        events_of=lambda noise: [*warm_start, SelfComposed(steps, PoissonSampled(probability, Gaussian(noise)))],
        accountant=accountant,
    )


def _releases(noise: float, shares: tuple[float, ...]) -> list[Event]:
    return [Gaussian(noise / math.sqrt(share)) for share in shares]
