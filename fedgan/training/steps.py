"""One discriminator step and one generator step; the same with and without differential privacy.

What differs is the `gradient` passed in: the plain mean, or clipped, summed and noised (`fedgan.privacy.gradient`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from fedgan.losses import GanLoss
from fedgan.training.gan import Gan, frozen
from fedgan.training.objective import discriminator_objective

Anchor = Callable[[Tensor, Tensor], Tensor]
"""Maps generated images (N, C, H, W) and labels (N,) to a scalar that is added to the generator's loss."""


class GradientRule(Protocol):
    """Turns per-row losses into one gradient per parameter."""

    def __call__(
        self, module: nn.Module, inputs: tuple[Tensor, ...], loss: Callable[[Tensor], Tensor]
    ) -> Mapping[str, Tensor]:
        """Return the gradient of every trainable parameter, by name."""


def discriminator_step(
    gan: Gan,
    images: Tensor,
    labels: Tensor,
    *,
    fakes: int,
    loss: GanLoss,
    gradient: GradientRule,
    optimizer: torch.optim.Optimizer,
    rng: torch.Generator,
) -> None:
    """Take one step of the discriminator on real rows and `fakes` generated ones, in one forward.

    Real and generated rows pass together but stay rows of their own (Bie et al. 2023, arXiv:2302.02936), so a private
    `gradient` clips each record by itself. The number of generated rows is constant and their labels are drawn from a
    uniform prior, so neither depends on the records. An empty batch of real rows is a step like any other.

    Args:
        images: real images (B, C, H, W) in [-1, 1]; B may be 0.
        labels: their labels (B,) int64.
        fakes: generated rows to add.
        loss: with a penalty, that of a real row is part of the row's loss and so of what is clipped.
        rng: draws latents and labels of the generated rows.
    """
    gan.generator.eval()  # its running statistics move in its own steps alone
    with torch.no_grad():
        fake_images, fake_labels = gan.fakes(fakes, rng)
    critic, rows, row_losses = discriminator_objective(
        gan, (images, labels), (fake_images, fake_labels), loss=loss, rng=rng
    )
    gradients = gradient(critic, rows, row_losses)
    for name, parameter in critic.named_parameters():
        parameter.grad = gradients.get(name)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def generator_step(
    gan: Gan,
    *,
    batch_size: int,
    loss: GanLoss,
    optimizer: torch.optim.Optimizer,
    rng: torch.Generator,
    anchor: Anchor | None = None,
) -> float:
    """Take one step of the generator and return the discriminator's accuracy on the generated rows, in [0, 1].

    No private record is read: given a private discriminator this is post-processing, and so is the accuracy.
    """
    gan.generator.train()
    images, labels = gan.fakes(batch_size, rng)
    with frozen(gan.discriminator):
        logits = gan.critic(images, labels)
        objective = loss.generator(logits).mean()
        if anchor is not None:
            objective = objective + anchor(images, labels)
        optimizer.zero_grad(set_to_none=True)
        objective.backward()
    optimizer.step()
    return float((logits.detach() < 0).float().mean())
