"""Accounting by privacy loss distributions: tight to the width of a grid, and never below the true epsilon."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache, reduce
from typing import TYPE_CHECKING

from fedgan.privacy.accountant import ACCOUNTANTS

if TYPE_CHECKING:
    from fedgan.privacy.loss_distribution import LossDistribution

INTERVAL = 1e-4  # grid of the privacy loss, as dp_accounting's default
_COARSE = 1e-3
_GRID_POINTS = 4_000_000  # 32 MiB an array; beyond these, at epsilons in the hundreds, the grid widens
_LEAST_NOISE = 0.05  # below, and on a wider grid, exponentials of the privacy loss overflow
_WIDEST = 0.1


@ACCOUNTANTS.register("pld")
def pld(counts: Mapping[tuple[float, float], int], *, delta: float, coarse: bool) -> float:
    """Return an upper bound on epsilon, a fraction of a percent above the true value.

    Where epsilon is in the thousands, or one release with a noise multiplier below 0.05 takes part (an epsilon of over
    280), it is the bound of `rdp`.
    """
    losses = privacy_losses(counts, coarse=coarse)
    if losses is None:
        return ACCOUNTANTS["rdp"](counts, delta=delta, coarse=coarse)
    return max(loss.epsilon(delta) for loss in losses)


def privacy_losses(counts: Mapping[tuple[float, float], int], *, coarse: bool) -> tuple[LossDistribution, ...] | None:
    """Return the composition's privacy loss in each direction, or None where it would not fit or overflow."""
    interval = _interval(counts, _COARSE if coarse else INTERVAL)
    if interval > _WIDEST or min(noise for _, noise in counts) < _LEAST_NOISE:
        return None
    # Sorted, so that the order of events never changes the last digits of epsilon.
    ordered = sorted(counts.items())
    sampled = any(probability < 1 for probability, _ in counts)
    # Without sampling both directions are the same.
    return tuple(_total(ordered, interval, removal=removal) for removal in ((True, False) if sampled else (True,)))


def _total(counts: list[tuple[tuple[float, float], int]], interval: float, *, removal: bool) -> LossDistribution:
    parts = [_composed(*mechanism, count, interval, removal) for mechanism, count in counts]
    return reduce(lambda total, part: total.then(part), parts)


@lru_cache(maxsize=16)
def _composed(probability: float, noise: float, count: int, interval: float, removal: bool) -> LossDistribution:
    from fedgan.privacy.loss_distribution import subsampled_gaussian

    if probability == 1.0:  # exact: n Gaussians are one of n times the precision
        return subsampled_gaussian(1.0, noise / math.sqrt(count), interval, removal=removal)
    return subsampled_gaussian(probability, noise, interval, removal=removal).repeated(count)


def _interval(counts: Mapping[tuple[float, float], int], wanted: float) -> float:
    """Return the grid's width: `wanted`, or the multiple by a power of ten that keeps the grid in memory."""
    single = max(_span(1.0 / noise) for _, noise in counts)
    composed = sum(_span(_deviation(*mechanism, count)) for mechanism, count in counts.items())
    if composed > wanted * _GRID_POINTS:  # where noise is little the normal limit is far off
        composed = 2 * ACCOUNTANTS["rdp"](counts, delta=1e-15, coarse=True)
    excess = max(single, composed) / wanted / _GRID_POINTS
    return wanted if excess <= 1 else wanted * 10.0 ** math.ceil(math.log10(excess))


def _deviation(probability: float, noise: float, count: int) -> float:
    """Estimate the standard deviation of the privacy loss of `count` subsampled Gaussians by its normal limit."""
    without_sampling = math.sqrt(count) / noise
    if 1.0 / noise**2 > 50:
        return without_sampling
    # Bu et al. 2020, arXiv:1911.11607, without their second-order terms.
    return min(without_sampling, probability * math.sqrt(count * math.expm1(1.0 / noise**2)))


def _span(deviation: float) -> float:
    """Return the width of a normal privacy loss, up to tails of e^-50."""
    return deviation**2 + 20 * deviation
