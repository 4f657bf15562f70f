"""Calibrates the noise of a plan: of an evaluation, of the warm start alone, and of the steps that follow it."""

from __future__ import annotations

import math
from functools import lru_cache

from fedgan.privacy.accounting import calibrate_noise
from fedgan.privacy.events import Event, Gaussian, PoissonSampled, SelfComposed


@lru_cache(maxsize=256)
def evaluation_noise_for(epsilon: float, delta: float, accountant: str) -> float:
    """Return the noise multiplier of one release that costs `epsilon` by itself."""
    return calibrate_noise(epsilon, delta=delta, events_of=lambda noise: [Gaussian(noise)], accountant=accountant)


@lru_cache(maxsize=256)
def warm_start_noise_for(
    epsilon: float, delta: float, accountant: str, shares: tuple[float, ...], reserved: tuple[Event, ...] = ()
) -> float:
    """Return the noise multiplier of a warm start that costs `epsilon` together with the events `reserved`.

    `shares` of 1/z^2 go to its releases.
    """
    return calibrate_noise(
        epsilon, delta=delta, events_of=lambda noise: [*reserved, *_releases(noise, shares)], accountant=accountant
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
    reserved: tuple[Event, ...] = (),
) -> float:
    """Return the noise multiplier of `steps` steps that cost `epsilon` with the warm start and events `reserved`."""
    warm_start = [*reserved, *(_releases(warm_noise, shares) if warm_noise else [])]
    return calibrate_noise(
        epsilon,
        delta=delta,
        events_of=lambda noise: [*warm_start, SelfComposed(steps, PoissonSampled(probability, Gaussian(noise)))],
        accountant=accountant,
    )


def _releases(noise: float, shares: tuple[float, ...]) -> list[Event]:
    return [Gaussian(noise / math.sqrt(share)) for share in shares]
