"""Whole updates of clients are clipped, summed and noised at the server: privacy for a client and all it holds.

Source: McMahan et al. 2018, arXiv:1710.06963, algorithm 1, with the fixed-denominator estimator; for GANs, Augenstein
et al. 2020, arXiv:1911.06679.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedgan.federation.arrays import load_network, networks_of, select
from fedgan.federation.requests import Arrays, Release
from fedgan.federation.server_optimizers import ServerOptimizer
from fedgan.privacy.noise import NoiseSource, add_noise, add_noise_to_all
from fedgan.privacy.plan import PrivacyPlan
from fedgan.training.gan import Gan
from fedgan.training.spectral import bound_spectral_norms

CLIP_RATE = 0.2
"""Learning rate of the logarithm of an adaptive clip (Andrew et al. 2021, arXiv:1905.03871, section 3.1)."""


class ClippedUpdates:
    """Adds (sum_k clip(u_k) + N(0, (z S)^2)) / (q K) to the networks, where u_k is what client k would change.

    Guarantee: one round is the event `plan.round_event(1)` for adding or removing one client, if each client takes
    part by a coin of its own with probability q = `plan.probability` that nobody else sees. Weights are equal, and the
    divisor is the expected number of clients: who takes part, and how many do, shows nowhere.

    The clip S is fixed, or follows a quantile of the norms ||u_k||: S becomes S exp(-0.2 (b - quantile)), b being the
    noisy part of updates of norm at most S. The noise on that count, with deviation `plan.count_noise` / 2 because each
    client moves the centred count by 1/2, is part of the event (Andrew et al. 2021, arXiv:1905.03871).

    Args:
        networks: names of the networks that come back.
        plan: of level "client".
        quantile: in (0, 1) for an adaptive clip, 0 for a fixed one.
        noise: where the noise comes from.
        optimizer: makes the server's step of the noisy update, which is post-processing; None takes it as it is.

    Attributes:
        clip: S, now.

    Raises:
        ValueError: the plan has no noise for the count that an adaptive clip needs.
    """

    secret_cohort = True
    least = 0

    def __init__(
        self,
        networks: Sequence[str],
        *,
        plan: PrivacyPlan,
        quantile: float,
        noise: NoiseSource,
        optimizer: ServerOptimizer | None = None,
    ) -> None:
        if quantile and not plan.count_noise:
            raise ValueError("an adaptive clip needs a plan that pays for its counts")
        self.clip = plan.clip
        self._networks = tuple(networks)
        self._plan = plan
        self._quantile = quantile
        self._noise = noise
        self._optimizer = optimizer

    @property
    def _expected_clients(self) -> float:
        return self._plan.probability * self._plan.clients

    def expected(self, gan: Gan) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the networks."""
        return {name: array.shape for name, array in networks_of(gan, self._networks).items()}

    def move(self, gan: Gan, releases: Sequence[Release], *, round_number: int, records: int) -> None:
        """Move by the noisy sum of clipped updates, which is noise alone where nobody takes part."""
        before = networks_of(gan, self._networks)
        total = {name: np.zeros(array.shape) for name, array in before.items()}
        whole = 0
        for release in releases:
            update, norm = _update(before, release.arrays)
            whole += norm <= self.clip
            factor = min(1.0, self.clip / norm) if norm > 0 else 1.0
            for name, array in update.items():
                total[name] += factor * array
        sums = {name: torch.from_numpy(array) for name, array in total.items()}
        noisy = add_noise_to_all(sums, self._plan.noise_multiplier * self.clip, self._noise)
        step = {name: noisy[name].numpy() / self._expected_clients for name in before}
        moved = {name: (array + step[name]).astype(np.float32) for name, array in before.items()}
        if self._optimizer:
            moved = self._optimizer.moved(before, step)
        for name in self._networks:
            load_network(name, gan.network(name), select(moved, [name]))
        bound_spectral_norms(gan.discriminator, gan.spectral_bound)
        if self._quantile:
            self._adapt(whole - len(releases) / 2)

    def _adapt(self, centred_count: float) -> None:
        count = add_noise(torch.tensor(centred_count, dtype=torch.float64), self._plan.count_noise / 2, self._noise)
        fraction = min(1.0, max(0.0, float(count) / self._expected_clients + 0.5))
        self.clip *= math.exp(-CLIP_RATE * (fraction - self._quantile))

    def state(self) -> dict[str, Tensor]:
        """Return the clip, and the optimiser's state."""
        moments = self._optimizer.state() if self._optimizer else {}
        return {"clip": torch.tensor(self.clip, dtype=torch.float64), **moments}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up the clip, and the optimiser's state."""
        clip = float(state["clip"])
        if not 0 < clip < math.inf:
            raise ValueError(f"the clip is {clip}")
        self.clip = clip
        if self._optimizer:
            self._optimizer.load_state(state)


def _update(before: Arrays, after: Arrays) -> tuple[dict[str, NDArray[np.float64]], float]:
    """Return what a client would change, in float64, and its L2 norm over all arrays together."""
    update = {name: after[name].astype(np.float64) - array for name, array in before.items()}
    return update, math.sqrt(sum(float(np.square(array).sum()) for array in update.values()))
