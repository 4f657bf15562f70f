"""Networks that came back are merged by an aggregation rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from fedgan.federation.aggregation import USUAL, Aggregation, Assumptions
from fedgan.federation.arrays import load_network, networks_of, select
from fedgan.federation.requests import Release
from fedgan.federation.server_optimizers import ServerOptimizer
from fedgan.training.gan import Gan


class NetworkAverage:
    """Replaces each network by what the clients made of it, or takes a step in that direction.

    Args:
        networks: names of the networks that come back.
        aggregation: how networks of several clients become one.
        assumptions: what `aggregation` assumes of the clients.
        optimizer: makes the step; None goes all the way.

    Attributes:
        least: fewest releases that the rule can merge.
    """

    secret_cohort = False

    def __init__(
        self,
        networks: Sequence[str],
        aggregation: Aggregation,
        assumptions: Assumptions = USUAL,
        optimizer: ServerOptimizer | None = None,
    ) -> None:
        self.least = aggregation.least(assumptions)
        self._networks = tuple(networks)
        self._aggregation = aggregation
        self._assumptions = assumptions
        self._optimizer = optimizer

    def expected(self, gan: Gan) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the networks."""
        return {name: array.shape for name, array in networks_of(gan, self._networks).items()}

    def move(self, gan: Gan, releases: Sequence[Release], *, round_number: int, records: int) -> None:
        """Load the merged arrays."""
        merged = self._aggregation.merge([release.arrays for release in releases], self._assumptions)
        if self._optimizer:
            before = networks_of(gan, self._networks)
            update = {name: merged[name].astype(np.float64) - array for name, array in before.items()}
            merged = self._optimizer.moved(before, update)
        for name in self._networks:
            load_network(name, gan.network(name), select(merged, [name]))

    def state(self) -> dict[str, Tensor]:
        """Return the optimiser's; without one a round depends on no earlier one."""
        return self._optimizer.state() if self._optimizer else {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up the optimiser's."""
        if self._optimizer:
            self._optimizer.load_state(state)
