"""Gradient sums of many clients make one step of the discriminator, as if their records lay in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from fedgan.federation.aggregation import USUAL, Aggregation, Assumptions
from fedgan.federation.aggregation.base import stacked
from fedgan.federation.requests import Release
from fedgan.federation.tensors import adam_state, load_adam_state
from fedgan.losses import GanLoss
from fedgan.privacy.noise import NoiseSource, add_noise_to_all
from fedgan.training.gan import Gan
from fedgan.training.local import Optimisation
from fedgan.training.objective import discriminator_gradient
from fedgan.training.rules import GradientRule
from fedgan.training.spectral import bound_spectral_norms
from fedgan.training.streams import stream


class GradientStep:
    """Adam on (sum of the clients' sums + noise + sum over generated rows) / expected rows.

    Args:
        gan: the global networks; Adam is built for its discriminator.
        optimisation: Adam's constants, and the number of generated rows (its batch size).
        loss: the adversarial loss.
        probability: with which every client draws each of its records.
        fake_gradient: sums the gradients of generated rows, clipped as clients clip those of real ones.
        noise_std: of the noise that the server adds; 0 where the clients have added theirs.
        noise: where that noise comes from.
        seed: of the generated rows.
        aggregation: None adds the sums up; otherwise their total is that many times what this rule makes of them. Only
            where clients have added their noise: noise added here hides a record in a sum and in nothing else.
        assumptions: what `aggregation` assumes of the clients.

    Attributes:
        least: fewest releases that make a step.

    Raises:
        ValueError: the server would add noise to something else than a sum.
    """

    secret_cohort = False

    def __init__(
        self,
        gan: Gan,
        *,
        optimisation: Optimisation,
        loss: GanLoss,
        probability: float,
        fake_gradient: GradientRule,
        noise_std: float,
        noise: NoiseSource,
        seed: int,
        aggregation: Aggregation | None = None,
        assumptions: Assumptions = USUAL,
    ) -> None:
        if aggregation is not None and noise_std:
            raise ValueError("the noise is that of a sum of clipped gradients, and no other aggregate's")
        self.least = aggregation.least(assumptions) if aggregation else 1
        self.optimizer = optimisation.for_discriminator(gan)
        self._fakes = optimisation.batch_size
        self._loss = replace(loss, penalty=None)  # penalties are on real rows
        self._probability = probability
        self._fake_gradient = fake_gradient
        self._noise_std = noise_std
        self._noise = noise
        self._seed = seed
        self._aggregation = aggregation
        self._assumptions = assumptions

    def expected(self, gan: Gan) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the discriminator's trainable parameters."""
        return {
            f"gradient/{name}": tuple(parameter.shape)
            for name, parameter in gan.discriminator.named_parameters()
            if parameter.requires_grad
        }

    def expected_rows(self, records: int) -> float:
        """Return what a sum is divided by: rows expected of clients with `records` together, and generated rows."""
        return self._probability * records + self._fakes

    def move(self, gan: Gan, releases: Sequence[Release], *, round_number: int, records: int) -> None:
        """Take one step of the discriminator."""
        gan.generator.eval()  # its running statistics move in its own steps alone
        rng = stream(self._seed, "fakes", round_number)
        with torch.no_grad():
            images, labels = gan.fakes(self._fakes, rng)
        fakes = discriminator_gradient(
            gan, (images[:0], labels[:0]), (images, labels), loss=self._loss, gradient=self._fake_gradient, rng=rng
        )
        reals = add_noise_to_all(self._total(releases), self._noise_std, self._noise)
        count = self.expected_rows(records)
        for name, parameter in gan.discriminator.named_parameters():
            if parameter.requires_grad:
                parameter.grad = (reals[f"gradient/{name}"].to(parameter) + fakes[name]) / count
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        bound_spectral_norms(gan.discriminator, gan.spectral_bound)

    def state(self) -> dict[str, Tensor]:
        """Return Adam's moments."""
        return adam_state(self.optimizer)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up Adam's moments."""
        load_adam_state(self.optimizer, state)

    def _total(self, releases: Sequence[Release]) -> dict[str, Tensor]:
        """Return the sum of the releases' arrays in float64, or what the rule takes it to be."""
        clients = [release.arrays for release in releases]
        if self._aggregation is None:
            return {name: torch.from_numpy(stacked(clients, name).sum(axis=0)) for name in clients[0]}
        merged = self._aggregation.merge(clients, self._assumptions)
        return {name: torch.from_numpy(array.astype(np.float64) * len(clients)) for name, array in merged.items()}
