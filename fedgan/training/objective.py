"""What the discriminator minimises, row by row: the adversarial loss, one of classes and, on real rows, a penalty."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fedgan.losses import GanLoss
from fedgan.training.critic import CopiesCritic, PenalisedCritic
from fedgan.training.dropout import DroppingCritic, generated_keys, record_keys
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
    losses and its penalty clipped as one. What the discriminator is shown of an image is up to `gan.perturbation`.

    Args:
        rng: draws what penalties need, as much whatever the number of real rows.
    """
    count, shown = len(real[0]), gan.perturbation
    critic, keys = gan.critic, list[Tensor]()
    if gan.dropout > 0:
        critic = DroppingCritic(gan.critic, gan.dropout)
        keys = [torch.cat([record_keys(*real, rng), generated_keys(len(fake[0]), rng, gan.device)])]
    if shown.active:
        real = (shown.of_records(*real, rng=rng), real[1])
        fake = (shown.of_generated(fake[0], rng, copies=shown.copies), fake[1])
    rows = (torch.cat([real[0], fake[0]]), torch.cat([real[1], fake[1]]), *keys)

    def losses(logits: Tensor) -> Tensor:  # or pairs, with an auxiliary classifier
        each = torch.cat([loss.real(logits[:count]), loss.fake(logits[count:])])
        return each if shown.copies == 1 else each.mean(dim=1)  # a record's copies are one row: clipped once

    if loss.penalty is None:
        return critic if shown.copies == 1 else CopiesCritic(critic), rows, losses
    of_norm, weight = loss.penalty.of_norm, loss.penalty_weight

    def penalised(output: Tensor) -> Tensor:
        penalties = weight * of_norm(output[:, -1])
        return losses(output[:, :-1].squeeze(1)) + torch.cat([penalties[:count], torch.zeros_like(penalties[count:])])

    penalising = PenalisedCritic(critic)
    if not loss.penalty.between:
        return penalising, rows, penalised
    points = torch.cat([interpolate(gan, *real, rng=rng), fake[0]])
    return penalising, (*rows, points), penalised


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
