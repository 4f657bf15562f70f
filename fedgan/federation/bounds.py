"""How far an honest release can lie from what was asked: one that lies further away is broken, or a lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from fedgan.federation.requests import Arrays, Release
from fedgan.training.local import Optimisation

_DEVIATIONS = 8.0
"""The norm of d standard normals is over sqrt(d) + t with probability at most exp(-t^2 / 2): 1e-14 for this t."""
_SLACK = 1.01
"""Machines round differently."""
_SUM_SLACK = 1.1
"""A sum may have been rounded to 8 bits on its way: 512 values to steps of their largest over 127 move the norm by at
most sqrt(512) / 254 of it, 9 %."""
_QUANTUM = 1 / 127
"""A network may have been rounded to 8 bits on its way: at most one step of its largest weight."""
_LARGEST_STATISTIC = 1e6
"""Running means and variances follow activations, which no step size bounds."""
_LARGEST_SUM = 1e18
"""Without clipping nothing bounds a gradient; the square of this one is still a float32."""


def adam_reach(learning_rate: float, beta1: float, beta2: float, steps: int) -> float:
    """Return the most that `steps` steps of a fresh Adam move one weight, whatever the gradients are.

    Step t moves a weight by at most learning_rate |m_t| / sqrt(v_t), both bias-corrected (Kingma & Ba 2015,
    arXiv:1412.6980, algorithm 1). By the Cauchy-Schwarz inequality the ratio is at most
    (1 - b1) / sqrt(1 - b2) * sqrt(1 - b2^t) / (1 - b1^t) * sqrt(sum_{j < t} (b1^2 / b2)^j).
    """
    if beta2 == 0:
        return learning_rate * steps if beta1 == 0 else inf
    reach, series = 0.0, 0.0
    for step in range(1, steps + 1):
        series += (beta1**2 / beta2) ** (step - 1)
        corrected = sqrt((1 - beta2**step) / (1 - beta2)) * (1 - beta1) / (1 - beta1**step)
        reach += learning_rate * corrected * sqrt(series)
    return reach


@dataclass(frozen=True)
class ReleaseBounds:
    """What honest clients of a run can release.

    Attributes:
        optimisation: Adam's constants at the clients.
        records: by client, as claimed; sums over records are held against them.
        clip: L2 norm of one record's gradient; infinite where nothing clips.
        gradient_noise, embedding_noise: deviations of the noise that a client adds to a sum, the largest where releases
            differ; 0 for none.
        whole_clients: whether a client's embedding is a mean over its records (level "client").
        shrinks: whether a step may also scale weights of the discriminator towards 0 (`training.spectral_bound`), which
            takes a weight no further than where it began.
    """

    optimisation: Optimisation
    records: Mapping[str, int]
    clip: float
    gradient_noise: float
    embedding_noise: float
    whole_clients: bool = False
    shrinks: bool = False

    def embedding_fault(self, release: Release) -> str | None:
        """Return why the embedding in `release` is none of that client's records, whose rows have norm at most 1."""
        rows = 1 if self.whole_clients else self.records[release.client]
        return _sum_fault(release, largest=float(rows), noise_std=self.embedding_noise)

    def gradient_fault(self, release: Release) -> str | None:
        """Return why `release` is no sum of that client's clipped gradients, or None."""
        if self.clip == inf:
            norm = _norm(release.arrays)
            return None if norm <= _LARGEST_SUM else f"its gradient sum has norm {norm:.3g}"
        return _sum_fault(release, largest=self.records[release.client] * self.clip, noise_std=self.gradient_noise)

    def network_fault(
        self, release: Release, before: Arrays, *, trained: set[str], steps: int, generator_steps: int
    ) -> str | None:
        """Return which network in `release` is further away than its steps can take it, or None.

        Args:
            release: of networks.
            before: the networks that were sent.
            trained: names of the weights that Adam moves; the others are running statistics.
            steps, generator_steps: of this round.
        """
        rates, taken = self.optimisation, {"discriminator": steps, "generator": generator_steps}
        learning_rates = {
            "discriminator": rates.discriminator_learning_rate,
            "generator": rates.generator_learning_rate,
        }
        for name, array in release.arrays.items():
            network = name.partition("/")[0]
            reach = adam_reach(learning_rates[network], rates.beta1, rates.beta2, taken[network]) * _SLACK
            largest = float(np.abs(before[name]).max(initial=0))
            limit = reach + (largest + reach) * _QUANTUM
            limit += largest if self.shrinks and network == "discriminator" else 0.0
            moved = float(np.abs(array.astype(np.float64) - before[name]).max(initial=0))
            if moved > (limit if name in trained else _LARGEST_STATISTIC):
                return f"array {name} moved by {moved:.3g}, more than {taken[network]} steps can move it"
        return None


def _sum_fault(release: Release, *, largest: float, noise_std: float) -> str | None:
    if release.noise_std > noise_std * _SLACK:
        return f"noise_std is {release.noise_std:.3g} instead of {noise_std:.3g}"
    size = sum(array.size for array in release.arrays.values())
    limit = (largest + noise_std * (sqrt(size) + _DEVIATIONS)) * _SUM_SLACK
    norm = _norm(release.arrays)
    return None if norm <= limit else f"its sum has norm {norm:.3g}, over the {limit:.3g} that its records can reach"


def _norm(arrays: Arrays) -> float:
    return sqrt(sum(float(np.square(array, dtype=np.float64).sum()) for array in arrays.values()))
