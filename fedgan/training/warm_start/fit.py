"""Fits a generator to a noisy mean embedding: post-processing of the release, so any number of steps costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from fedgan.errors import bad_value
from fedgan.training.warm_start.embedding import EmbeddingTarget


def embedding_loss(rows: Tensor, labels: Tensor, means: Tensor) -> Tensor:
    """Return the sum over classes of the squared distance of the rows' mean to the target mean, up to a constant.

    The estimate is unbiased in the generator's distribution: products of pairs of different rows replace the square of
    their mean (Gretton et al. 2012, "A kernel two-sample test", equation 3), and the square of the target is left out.
    A class with fewer than two rows adds nothing.

    Args:
        rows: features of generated images, (N, D).
        labels: their classes, (N,) int64.
        means: target means, (num_classes, D).
    """
    member = one_hot(labels, len(means)).to(rows.dtype)  # (N, num_classes)
    size = member.sum(0)
    sums = member.t() @ rows
    pairs = sums.square().sum(1) - member.t() @ rows.square().sum(1)
    loss = pairs / (size * (size - 1)).clamp(min=1) - 2 * (sums * means).sum(1) / size.clamp(min=1)
    return loss[size > 1].sum()


def fit_generator(
    generator: nn.Module,
    target: EmbeddingTarget,
    feature_map: Callable[[Tensor], Tensor],
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    rng: torch.Generator,
    parameters: Sequence[nn.Parameter] | None = None,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Train `generator` in place until its class-wise mean features match the target.

    The loss is that of DP-MERF (Harder et al. 2021, arXiv:2002.11603, equation 10) in its unbiased form. Adam with
    betas 0.9 and 0.999, its learning rate annealed to 0 by a cosine; every step makes the same number of images of
    each class. On one CPU the same arguments give the same weights bit for bit.

    Args:
        generator: (latents, labels) -> images (N, C, H, W) in [-1, 1], with an attribute `latent_dim`; left in
            evaluation mode.
        target: class means in the space of `feature_map`.
        feature_map: the map that the clients used, images (N, C, H, W) -> rows (N, D); it lies on the generator's
            device.
        steps: Adam steps.
        batch_size: generated images a step, at least two of each class; rounded down to equal numbers of each.
        learning_rate: Adam's, at the first step.
        rng: CPU generator that draws the latents.
        parameters: those to train; None for all.
        progress: called after each step with the number of steps done.

    Raises:
        UsageError: `batch_size` is below two images a class.
    """
    classes = len(target.means)
    if batch_size < 2 * classes:
        raise bad_value("training.warm_start_batch_size", batch_size, f"at least two images a class, {2 * classes}")
    device = next(generator.parameters()).device
    latent_dim = int(generator.latent_dim)  # type: ignore[arg-type]
    means = target.means.to(device)
    labels = torch.arange(classes, device=device).repeat(batch_size // classes)
    optimizer = torch.optim.Adam(generator.parameters() if parameters is None else parameters, lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    generator.train()
    for step in range(steps):
        latents = torch.randn(len(labels), latent_dim, generator=rng).to(device)
        loss = embedding_loss(feature_map(generator(latents, labels)), labels, means)
        generator.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(step + 1)
    generator.zero_grad(set_to_none=True)
    generator.eval()
