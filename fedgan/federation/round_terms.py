"""What all rounds of a run have in common, and what the server asks and does in one of them by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from fedgan.federation.algorithms import Algorithm, ServerRound
from fedgan.federation.arrays import networks_of
from fedgan.federation.compression import Compression
from fedgan.federation.reports import progress_of
from fedgan.federation.requests import GENERATED, TARGET, Release, TrainRequest
from fedgan.losses import GanLoss
from fedgan.models import ExponentialMovingAverage
from fedgan.training.gan import Gan
from fedgan.training.local import GeneratorProgress, Optimisation, generator_steps_due
from fedgan.training.steps import Anchor
from fedgan.training.stored import generate_stock
from fedgan.training.streams import stream
from fedgan.training.warm_start import ClassFeatures, EmbeddingTarget, anchor_to


@dataclass(frozen=True)
class RoundTerms:
    """Settings of rounds; see `Server`, whose arguments these are."""

    algorithm: Algorithm
    optimisation: Optimisation
    loss: GanLoss
    local_steps: int
    anchor_weight: float
    ema_decay: float
    seed: int
    everybody: int
    compression: Compression
    generated_images: int

    def first_step(self, number: int) -> int:
        """Return the discriminator steps of a client that takes part in all rounds before round `number`, from 1."""
        return (number - 1) * self.local_steps

    def generator_steps(self, number: int, discriminator_steps: int) -> int:
        """Return the generator steps of a client in round `number`, one for so many discriminator steps."""
        return generator_steps_due(self.first_step(number), self.local_steps, discriminator_steps)

    def request(
        self,
        run: str,
        number: int,
        gan: Gan,
        target: EmbeddingTarget | None,
        *,
        discriminator_steps: int,
        augmentation_chance: float,
    ) -> TrainRequest:
        """Return the request of round `number` of `run`, the same for every client of it.

        Args:
            run, number, discriminator_steps, augmentation_chance: as `TrainRequest` has them.
            gan: the global networks.
            target: of the warm start, if its releases led to one.
        """
        arrays = networks_of(gan, self.algorithm.sends)
        if self.anchor_weight > 0 and target is not None and "generator" in self.algorithm.returns:
            arrays[TARGET] = target.means.numpy()
        if self.algorithm.sends_images:
            rng = stream(self.seed, "images", number)
            arrays[GENERATED] = generate_stock(gan, self.generated_images, rng).cpu().numpy()
        return TrainRequest(
            run=run,
            round=number,
            steps=self.local_steps,
            first_step=self.first_step(number),
            discriminator_steps=discriminator_steps,
            arrays=arrays,
            everybody=self.everybody,
            compression=self.compression,
            augmentation_chance=augmentation_chance,
        )

    def server_round(
        self,
        number: int,
        gan: Gan,
        average: ExponentialMovingAverage,
        optimizer: torch.optim.Optimizer,
        releases: Sequence[Release],
        anchor: Anchor | None,
        *,
        discriminator_steps: int,
    ) -> ServerRound:
        """Return the server's work of round `number` after `releases` have moved the networks.

        Args:
            number: of the round, from 1.
            gan, average, optimizer: the global networks, the generator's average, and its optimiser.
            releases: that entered.
            anchor: of generator steps, if they have one.
            discriminator_steps: for each generator step.
        """
        moves = "generator" in self.algorithm.returns
        return ServerRound(
            gan=gan,
            average=average,
            ema_decay=self.ema_decay,
            optimizer=optimizer,
            steps=self.local_steps,
            first_step=self.first_step(number),
            discriminator_steps=discriminator_steps,
            optimisation=self.optimisation,
            loss=self.loss,
            rng=stream(self.seed, "server", number),
            anchor=anchor,
            clients=progress_of(releases) if moves else GeneratorProgress(),
        )

    def anchor(self, target: EmbeddingTarget | None, feature_map: Callable[[], ClassFeatures | None]) -> Anchor | None:
        """Return what holds generator steps to `target`; None where nothing does.

        Args:
            target: of the warm start, if its releases led to one.
            feature_map: draws the map that `target` is in the space of, if there is one; called where it is needed.
        """
        if self.anchor_weight == 0 or target is None or (drawn := feature_map()) is None:
            return None
        return anchor_to(target.means.to(drawn.device), drawn, self.anchor_weight)
