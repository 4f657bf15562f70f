"""One discriminator step and one generator step; the same with and without differential privacy.

What differs is the `gradient` passed in: the plain mean, or clipped, summed and noised (`fedgan.privacy.gradient`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fedgan.losses import GanLoss
from fedgan.training.critic import logits_of
from fedgan.training.dropout import DroppingCritic, generated_keys
from fedgan.training.gan import Gan, frozen
from fedgan.training.objective import discriminator_gradient
from fedgan.training.proximal import Tie
from fedgan.training.rules import GradientRule
from fedgan.training.spectral import bound_spectral_norms

Anchor = Callable[[Tensor, Tensor], Tensor]
"""Maps generated images (N, C, H, W) and labels (N,) to a scalar that is added to the generator's loss."""


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
    tie: Tie | None = None,
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
        tie: holds the discriminator near where it began; added to what `gradient` returns, noise included.
    """
    gan.generator.eval()  # its running statistics move in its own steps alone
    with torch.no_grad():
        fake_images, fake_labels = gan.fakes(fakes, rng)
    real, generated = (images, labels), (fake_images, fake_labels)
    gradients = discriminator_gradient(gan, real, generated, loss=loss, gradient=gradient, rng=rng)
    for name, parameter in gan.discriminator.named_parameters():
        parameter.grad = gradients.get(name)
    if tie is not None:
        tie.pull()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    bound_spectral_norms(gan.discriminator, gan.spectral_bound)


def generator_step(
    gan: Gan,
    *,
    batch_size: int,
    loss: GanLoss,
    optimizer: torch.optim.Optimizer,
    rng: torch.Generator,
    anchor: Anchor | None = None,
    tie: Tie | None = None,
) -> float:
    """Take one step of the generator and return the discriminator's accuracy on the generated rows, in [0, 1].

    No private record is read: given a private discriminator this is post-processing, and so is the accuracy.
    """
    gan.generator.train()
    images, labels = gan.fakes(batch_size, rng)
    with frozen(gan.discriminator):
        shown = gan.perturbation.of_generated(images, rng) if gan.perturbation.active else images
        if gan.dropout > 0:
            keys = generated_keys(len(labels), rng, gan.device)
            output = DroppingCritic(gan.critic, gan.dropout)(shown, labels, keys)
        else:
            output = gan.critic(shown, labels)
        objective = loss.generator(output).mean()
        if anchor is not None:
            objective = objective + anchor(images, labels)
        optimizer.zero_grad(set_to_none=True)
        objective.backward()
    if tie is not None:
        tie.pull()
    optimizer.step()
    return float((logits_of(output.detach()) < 0).float().mean())
