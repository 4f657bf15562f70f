"""Learns features on generated images: post-processing of what was released, so it costs nothing."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from fedgan.models import ImageShape
from fedgan.training.streams import draw_latents
from fedgan.training.warm_start.learned import hidden_features, learned_shapes

LEARNING_STEPS = 300
_BATCH = 250
_LEARNING_RATE = 1e-3
_EXAMPLES = 2000
_REACH = 1.5
"""Distance from the centre at which rows are cut off, over the typical one of generated images."""


def learn_features(generator: nn.Module, rng: torch.Generator) -> dict[str, Tensor]:
    """Return the arrays of a `LearnedMap`, float32 on the CPU: a classifier of the generator's images without its end.

    The classifier learns to tell the classes of generated images apart. Its last hidden layer is scaled so that most of
    them lie within norm 1 of their mean, the centre. On one CPU the same arguments give the same arrays bit for bit.

    Args:
        generator: (latents, labels) -> images (N, C, H, W) in [-1, 1], with attributes `latent_dim`, `num_classes` and
            `image_shape`; left in evaluation mode, otherwise as it was.
        rng: CPU generator that draws the first weights and the latents.
    """
    shape: ImageShape = generator.image_shape  # type: ignore[assignment]
    classes = int(generator.num_classes)  # type: ignore[arg-type]
    device = next(generator.parameters()).device
    generator.eval()
    weights = {name: _begin(size, rng).to(device) for name, size in learned_shapes(shape).items()}
    end = _begin((classes, len(weights["hidden"])), rng).to(device)
    parameters = [*(tensor for name, tensor in weights.items() if name != "centre"), end]
    for parameter in parameters:
        parameter.requires_grad_()
    optimizer = torch.optim.Adam(parameters, lr=_LEARNING_RATE)
    for _ in range(LEARNING_STEPS):
        images, labels = _generated(generator, _BATCH, rng)
        loss = cross_entropy(linear(hidden_features(images, weights), end), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return _scaled(weights, _generated(generator, _EXAMPLES, rng)[0])


def _scaled(weights: dict[str, Tensor], images: Tensor) -> dict[str, Tensor]:
    features = hidden_features(images, weights)
    centre = features.mean(0)
    reach = (_REACH * (features - centre).norm(dim=1).mean()).clamp(min=torch.finfo(features.dtype).tiny)
    last = {"hidden": weights["hidden"] / reach, "hidden_bias": weights["hidden_bias"] / reach}
    return {name: tensor.detach().cpu() for name, tensor in {**weights, **last, "centre": centre / reach}.items()}


@torch.no_grad()
def _generated(generator: nn.Module, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return generated images (N, C, H, W), about `count` and as many of each class, and their labels."""
    device, classes = next(generator.parameters()).device, int(generator.num_classes)  # type: ignore[arg-type]
    labels = torch.arange(classes, device=device).repeat(max(1, count // classes))
    latents = draw_latents(len(labels), int(generator.latent_dim), rng, device)  # type: ignore[arg-type]
    return generator(latents, labels), labels


def _begin(size: tuple[int, ...], rng: torch.Generator) -> Tensor:
    """Return first values of a weight (He et al. 2015, arXiv:1502.01852, equation 10), or zeros of a bias."""
    if len(size) == 1:
        return torch.zeros(size)
    return torch.randn(size, generator=rng) * sqrt(2 / torch.Size(size[1:]).numel())
