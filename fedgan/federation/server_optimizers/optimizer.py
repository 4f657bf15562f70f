"""A server optimiser at work: a rule, its constants, and the moments of every parameter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from fedgan.federation.requests import Arrays
from fedgan.federation.server_optimizers.base import Constants, Rule, Vector
from fedgan.training.gan import Gan


class ServerOptimizer:
    """Steps of the server along the clients' aggregated change.

    It sees that change alone, so under any guarantee it is post-processing, and its state is free to be saved.
    Buffers, such as the running variances of a batch norm, are estimates and not weights: they become what the clients
    made of them, as a step past that could make a variance negative.

    Args:
        rule: one of the registry.
        constants: what it is set by.
        gan: the global networks, whose parameters have moments.
        networks: names of those that move.
    """

    def __init__(self, rule: Rule, constants: Constants, gan: Gan, networks: Iterable[str]) -> None:
        self._rule = rule
        self._constants = constants
        shapes = {
            f"{network}/{name}": tuple(parameter.shape)
            for network in networks
            for name, parameter in gan.network(network).named_parameters()
        }
        self._first: dict[str, Vector] = {name: np.zeros(shape) for name, shape in shapes.items()}
        self._second: dict[str, Vector] = {name: np.full(shape, constants.tau**2) for name, shape in shapes.items()}

    def moved(self, before: Arrays, update: Mapping[str, Vector]) -> Arrays:
        """Return the arrays after a step from `before` along `update`, which has an array for each of them."""
        after: Arrays = {}
        for name, array in before.items():
            step = update[name]
            if name in self._first:
                step, self._first[name], self._second[name] = self._rule(
                    update[name], self._first[name], self._second[name], self._constants
                )
            after[name] = (array + step).astype(np.float32)
        return after

    def state(self) -> dict[str, Tensor]:
        """Return the moments as "first/name" and "second/name", in float64 as they are."""
        moments = (("first", self._first), ("second", self._second))
        return {f"{kind}/{name}": torch.from_numpy(array) for kind, held in moments for name, array in held.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned; KeyError or ValueError where that does not fit the networks."""
        for kind, held in (("first", self._first), ("second", self._second)):
            for name, array in held.items():
                found = state[f"{kind}/{name}"].numpy()
                if found.shape != array.shape or found.dtype != np.float64:
                    raise ValueError(f"{kind}/{name} is {found.dtype} {found.shape} instead of float64 {array.shape}")
                held[name] = found.copy()
