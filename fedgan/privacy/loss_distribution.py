"""Privacy loss distributions on a grid, rounded so that epsilon never comes out too low.

The distribution of the privacy loss of a mechanism says everything about its epsilon and delta, and composition adds
losses up (Koskela et al. 2020, arXiv:1906.03049). The rounding connects the dots of the divergence (Doroshenko et al.
2022, arXiv:2207.04380, algorithm 1); what is cut off counts as an infinite loss. Grid, tails and truncation are those
of Google's dp_accounting, which the tests compare with to 1e-9; this needs neither its import nor its loops.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import log_ndtr, ndtr, ndtri

Array = npt.NDArray[np.float64]

_NOISE_TAIL = 0.5 * math.exp(-50)  # noise that is cut off at each end of a mechanism
_TAIL = 1e-15  # mass that a composition may cut off
_ORDERS = 20  # of the Chernoff bounds, both ways


@dataclass(frozen=True)
class LossDistribution:
    """The privacy loss in one direction: adding a record, or removing one.

    Args:
        interval: width of the grid, > 0.
        lowest: the least loss, in intervals.
        masses: (n,), probability of each loss from `lowest` on.
        infinite: probability of an infinite loss.
    """

    interval: float
    lowest: int
    masses: Array
    infinite: float

    def repeated(self, count: int) -> LossDistribution:
        """Return the distribution of the sum of `count` >= 1 such losses, by powers of the Fourier transform."""
        first, last = _bounds(self.masses, count)
        size = last - first + 1
        length = next_fast_len(max(size, len(self.masses)), real=True)
        wrapped = irfft(rfft(self.masses, length) ** count, length)
        masses = np.roll(wrapped, -first)[:size]
        infinite = _TAIL - math.expm1(count * math.log1p(-self.infinite))
        return LossDistribution(self.interval, self.lowest * count + first, masses, infinite)

    def then(self, other: LossDistribution) -> LossDistribution:
        """Return the distribution of the sum of both losses; `other` has the same interval."""
        size = len(self.masses) + len(other.masses) - 1
        length = next_fast_len(size, real=True)
        masses = irfft(rfft(self.masses, length) * rfft(other.masses, length), length)[:size]
        first = _prefix(masses)
        last = max(size - _prefix(masses[::-1]), first + 1)
        below, above = float(masses[:first].sum()), float(masses[last:].sum())
        kept = masses[first:last].copy()
        kept[0] += below  # up, never down
        infinite = self.infinite + other.infinite - self.infinite * other.infinite + above
        return LossDistribution(self.interval, self.lowest + other.lowest + first, kept, infinite)

    def epsilon(self, delta: float) -> float:
        """Return the least epsilon >= 0 at which the divergence is at most `delta`; infinite if there is none."""
        if self.infinite > delta:
            return math.inf
        count = min(len(self.masses), len(self.masses) + self.lowest - 1)  # losses above 0, which alone can matter
        if count <= 0:
            return 0.0
        losses = (self.lowest + np.arange(len(self.masses) - 1, len(self.masses) - 1 - count, -1)) * self.interval
        masses = self.masses[: len(self.masses) - 1 - count : -1] if count < len(self.masses) else self.masses[::-1]
        # Mass of both worlds at losses of at least each, the greatest loss first.
        upper = self.infinite + np.cumsum(masses)
        lower = np.cumsum(masses * np.exp(-losses))
        if lower[-1] == 0:  # losses so large that the other world has none of their mass
            reached = np.flatnonzero(upper >= delta)
            return float(losses[reached[0]]) if len(reached) else 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            epsilons = np.log((upper - delta) / lower)
        # The divergence is linear in exp(epsilon) between two losses: the first solution above the next loss is it.
        nexts = np.append(losses[1:], 0.0)
        solved = np.flatnonzero((upper > delta) & (lower > 0) & (epsilons >= nexts))
        return float(epsilons[solved[0]]) if len(solved) else 0.0

    def deltas(self, epsilons: Array) -> Array:
        """Return the divergence (P,) at `epsilons` (P,), all >= 0."""
        losses = (self.lowest + np.arange(len(self.masses))) * self.interval
        positive = losses > 0  # losses above 0, which alone can matter
        losses, masses = losses[positive], self.masses[positive]
        upper = np.append(np.cumsum(masses[::-1])[::-1], 0.0)
        lower = np.append(np.cumsum((masses * np.exp(-losses))[::-1])[::-1], 0.0)
        above = np.searchsorted(losses, epsilons, side="right")
        return np.asarray(np.maximum(0.0, self.infinite + upper[above] - np.exp(epsilons) * lower[above]))


def subsampled_gaussian(probability: float, noise: float, interval: float, *, removal: bool) -> LossDistribution:
    """Return the privacy loss of a Gaussian on a Poisson sample, for removing or for adding a record.

    Args:
        probability: of each record to be in the sample, in (0, 1].
        noise: standard deviation of the noise over the sensitivity, > 0.
        interval: width of the grid.
        removal: whether the loss is that of the world with the record against the world without it.
    """
    tail = noise * float(ndtri(_NOISE_TAIL))
    least, most = _loss(-tail, probability, noise), _loss(tail - 1, probability, noise)
    if not removal:  # the loss at x is the negative loss of the other direction at -x
        least, most = -most, -least
    lowest, highest = math.floor(least / interval), math.ceil(most / interval)
    epsilons: Array = np.arange(lowest, highest + 1, dtype=np.float64) * interval
    divergence = _removal_divergence if removal else _addition_divergence
    deltas = np.minimum.accumulate(np.clip(divergence(epsilons, probability, noise), 0, 1))
    return LossDistribution(interval, lowest, _connect(deltas, interval), float(deltas[-1]))


def _loss(x: float, probability: float, noise: float) -> float:
    """Return log((1 - q) + q p(x + 1) / p(x)) for the density p of the noise."""
    shifted = (-0.5 - x) / noise**2
    if probability == 1:
        return shifted
    return float(np.logaddexp(math.log1p(-probability), math.log(probability) + shifted))


def _removal_divergence(epsilons: Array, probability: float, noise: float) -> Array:
    """Return the hockey-stick divergence of (1 - q) N(0, z^2) + q N(-1, z^2) from N(0, z^2) at each epsilon."""
    deltas = -np.expm1(np.minimum(epsilons, 0.0))  # where every x has a greater loss
    above, shifted = _unsampled(epsilons, probability)
    x = (-0.5 - shifted * noise**2) / noise
    upper = (1 - probability) * ndtr(x) + probability * ndtr(x + 1 / noise)
    deltas[above] = upper - np.exp(epsilons[above] + log_ndtr(x))
    return deltas


def _addition_divergence(epsilons: Array, probability: float, noise: float) -> Array:
    """Return the hockey-stick divergence of N(0, z^2) from (1 - q) N(0, z^2) + q N(1, z^2) at each epsilon."""
    deltas = np.zeros_like(epsilons)  # where no x has so great a loss
    below, shifted = _unsampled(-epsilons, probability)
    x = (0.5 + shifted * noise**2) / noise
    with np.errstate(divide="ignore"):
        lower = np.logaddexp(np.log1p(-probability) + log_ndtr(x), math.log(probability) + log_ndtr(x - 1 / noise))
    deltas[below] = ndtr(x) - np.exp(epsilons[below] + lower)
    return deltas


def _unsampled(losses: Array, probability: float) -> tuple[npt.NDArray[np.bool_], Array]:
    """Return which losses a sampled mechanism can have, and what they are without sampling: log(1 + (e^l - 1) / q)."""
    if probability == 1:
        return np.ones(len(losses), dtype=bool), losses
    scaled, floor = losses - math.log(probability), math.log((1 - probability) / probability)
    possible = scaled > floor
    return possible, scaled[possible] + np.log1p(-np.exp(floor - scaled[possible]))


def _connect(deltas: Array, interval: float) -> Array:
    """Return the masses on the grid whose divergence is `deltas` there and a line in exp(epsilon) between."""
    if len(deltas) == 1:
        return 1 - deltas
    steps = np.diff(deltas)
    masses = np.empty_like(deltas)
    masses[0] = 1 - deltas[0] + steps[0] / math.expm1(interval)
    masses[1:-1] = (steps[1:] - steps[:-1] * math.exp(interval)) / math.expm1(interval)
    masses[-1] = steps[-1] / math.expm1(-interval)
    return np.maximum(0.0, masses)


def _bounds(masses: Array, count: int) -> tuple[int, int]:
    """Return the first and last index of `count` convolutions of `masses` beyond which little mass lies (Chernoff)."""
    first, last = 0, (len(masses) - 1) * count
    slack = math.log(2 / _TAIL)
    step = np.exp(np.arange(len(masses)) / len(masses))
    for sign, base in ((1, step), (-1, 1 / step)):
        power = masses.copy()
        for order in range(1, _ORDERS + 1):
            power *= base
            bound = (count * math.log(power.sum()) + slack) * len(masses) / order
            if sign > 0:
                last = min(last, math.ceil(bound))
            else:
                first = max(first, math.floor(-bound))
    return first, last


def _prefix(masses: Array) -> int:
    """Return how many masses at the beginning may be cut off: their sum is at most half of the tail."""
    beyond = np.cumsum(masses) > _TAIL / 2
    return int(np.argmax(beyond)) if beyond.any() else len(masses)
