"""A client's part of a round: discriminator steps on its records, generator steps in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fedgan.losses import GanLoss
from fedgan.training.gan import Gan
from fedgan.training.proximal import Tie
from fedgan.training.rules import GradientRule
from fedgan.training.steps import Anchor, discriminator_step, generator_step

Batches = Callable[[], tuple[Tensor, Tensor]]
"""Draws the next batch of real images (B, C, H, W) in [-1, 1] and labels (B,)."""


@dataclass(frozen=True)
class Optimisation:
    """Sizes and Adam's constants of both networks.

    Attributes:
        microbatch: rows of a discriminator step to work on at a time; 0 for all at once.
        proximal: weight of the tie of a client's networks to those it was sent; 0 for none.
    """

    batch_size: int
    generator_batch_size: int
    discriminator_learning_rate: float
    generator_learning_rate: float
    beta1: float
    beta2: float
    microbatch: int = 0
    proximal: float = 0.0

    def for_discriminator(self, gan: Gan) -> torch.optim.Optimizer:
        """Return a fresh Adam for the discriminator."""
        betas = (self.beta1, self.beta2)
        return torch.optim.Adam(gan.discriminator.parameters(), lr=self.discriminator_learning_rate, betas=betas)

    def for_generator(self, gan: Gan) -> torch.optim.Optimizer:
        """Return a fresh Adam for the generator."""
        betas = (self.beta1, self.beta2)
        return torch.optim.Adam(gan.generator.parameters(), lr=self.generator_learning_rate, betas=betas)


@dataclass(frozen=True)
class GeneratorProgress:
    """Generator steps taken, and the discriminator's mean accuracy in [0, 1] on what they generated."""

    steps: int = 0
    accuracy: float = 1.0


def train_discriminator_steps(
    gan: Gan,
    batches: Batches,
    *,
    steps: int,
    optimisation: Optimisation,
    loss: GanLoss,
    gradient: GradientRule,
    rng: torch.Generator,
    after_each: Callable[[int], None] | None = None,
) -> None:
    """Take `steps` discriminator steps with a fresh Adam, calling `after_each` with 1, 2, ... after each of them."""
    optimizer, tie = optimisation.for_discriminator(gan), Tie(gan.discriminator, optimisation.proximal)
    for step in range(1, steps + 1):
        images, labels = batches()
        discriminator_step(
            gan,
            images.to(gan.device),
            labels.to(gan.device),
            fakes=optimisation.batch_size,
            loss=loss,
            gradient=gradient,
            optimizer=optimizer,
            rng=rng,
            tie=tie,
        )
        if after_each is not None:
            after_each(step)


def train_generator_steps(
    gan: Gan,
    *,
    steps: int,
    optimisation: Optimisation,
    optimizer: torch.optim.Optimizer,
    loss: GanLoss,
    rng: torch.Generator,
    anchor: Anchor | None = None,
    after_each: Callable[[], None] | None = None,
) -> GeneratorProgress:
    """Take `steps` generator steps against a fixed discriminator."""
    total = 0.0
    for _ in range(steps):
        total += generator_step(
            gan,
            batch_size=optimisation.generator_batch_size,
            loss=loss,
            optimizer=optimizer,
            rng=rng,
            anchor=anchor,
        )
        if after_each is not None:
            after_each()
    return GeneratorProgress(steps, total / steps) if steps else GeneratorProgress()


def train_alternating(
    gan: Gan,
    batches: Batches,
    *,
    steps: int,
    first_step: int,
    discriminator_steps: int,
    optimisation: Optimisation,
    loss: GanLoss,
    gradient: GradientRule,
    rng: torch.Generator,
    anchor: Anchor | None = None,
) -> GeneratorProgress:
    """Take `steps` discriminator steps and, after every `discriminator_steps` of the whole run, a generator step.

    Args:
        first_step: discriminator steps taken in earlier rounds, so that the alternation goes on over rounds.
    """
    optimizer, tie = optimisation.for_generator(gan), Tie(gan.generator, optimisation.proximal)
    accuracies: list[float] = []

    def then_generator(step: int) -> None:
        if (first_step + step) % discriminator_steps == 0:
            accuracies.append(
                generator_step(
                    gan,
                    batch_size=optimisation.generator_batch_size,
                    loss=loss,
                    optimizer=optimizer,
                    rng=rng,
                    anchor=anchor,
                    tie=tie,
                )
            )

    train_discriminator_steps(
        gan,
        batches,
        steps=steps,
        optimisation=optimisation,
        loss=loss,
        gradient=gradient,
        rng=rng,
        after_each=then_generator,
    )
    return GeneratorProgress(len(accuracies), sum(accuracies) / len(accuracies)) if accuracies else GeneratorProgress()


def generator_steps_due(first_step: int, steps: int, discriminator_steps: int) -> int:
    """Return the multiples of `discriminator_steps` in (first_step, first_step + steps]."""
    return (first_step + steps) // discriminator_steps - first_step // discriminator_steps
