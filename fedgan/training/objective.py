"""What the discriminator minimises, row by row: the adversarial loss and, on real rows, a penalty."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fedgan.losses import GanLoss
from fedgan.training.critic import PenalisedCritic
from fedgan.training.gan import Gan
from fedgan.training.interpolation import interpolate
from fedgan.training.rules import GradientRule

Rows = tuple[Tensor, Tensor]
"""Images (N, C, H, W) in [-1, 1] and labels (N,) int64."""

Objective = tuple[nn.Module, tuple[Tensor, ...], Callable[[Tensor], Tensor]]
"""A module, its inputs with one entry a row, and the map from its output to losses (N,)."""


def discriminator_objective(gan: Gan, real: Rows, fake: Rows, *, loss: GanLoss, rng: torch.Generator) -> Objective:
    """Return the objective of a step on real and generated rows, in this order.

    The i-th loss depends on the i-th row and on what is public, never on another row: a row that is clipped has its
    loss and its penalty clipped as one.

    Args:
        rng: draws what penalties need, as much whatever the number of real rows.
    """
    count = len(real[0])
    rows = (torch.cat([real[0], fake[0]]), torch.cat([real[1], fake[1]]))

    def losses(logits: Tensor) -> Tensor:
        return torch.cat([loss.real(logits[:count]), loss.fake(logits[count:])])

    if loss.penalty is None:
        return gan.critic, rows, losses
    of_norm, weight = loss.penalty.of_norm, loss.penalty_weight

    def penalised(output: Tensor) -> Tensor:
        logits, norms = output.unbind(dim=1)
        penalties = weight * of_norm(norms)
        return losses(logits) + torch.cat([penalties[:count], torch.zeros_like(penalties[count:])])

    critic = PenalisedCritic(gan.critic)
    if not loss.penalty.between:
        return critic, rows, penalised
    points = torch.cat([interpolate(gan, *real, rng=rng), fake[0]])
    return critic, (*rows, points), penalised


def discriminator_gradient(
    gan: Gan, real: Rows, fake: Rows, *, loss: GanLoss, gradient: GradientRule, rng: torch.Generator
) -> dict[str, Tensor]:
    """Return what `gradient` makes of the objective on these rows, by the names of the discriminator's parameters."""
    critic, rows, losses = discriminator_objective(gan, real, fake, loss=loss, rng=rng)
    found = gradient(critic, rows, losses)
    by_parameter = {id(parameter): found[name] for name, parameter in critic.named_parameters() if name in found}
    return {
        name: by_parameter[id(parameter)]
        for name, parameter in gan.discriminator.named_parameters()
        if id(parameter) in by_parameter
    }
