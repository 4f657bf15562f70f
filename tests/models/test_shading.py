"""Shading multiplies brightness by smooth factors whose logarithm has the size that the parameter says."""

from __future__ import annotations

import torch
from torch import Tensor

from fedgan.models.families.mixture import MixtureGenerator

LATENTS = torch.randn(400, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(400) % 2


@torch.no_grad()
def plain(brightness: float, shading: float, channels: int = 1) -> MixtureGenerator:
    """Return a generator of even images of (pixel + 1) / 2 = `brightness`, the second class shaded twice as much."""
    shape = (channels, 28, 28)
    generator = MixtureGenerator(latent_dim=6, num_classes=2, image_shape=shape, width=1)
    coefficients = torch.zeros(channels, 14, 14)
    coefficients[:, 0, 0] = (2 * brightness - 1) * 28
    means = coefficients.flatten().expand(2, 1, -1)
    generator.set_components(torch.ones(2, 1), means, torch.zeros(2, 1, 5, means.shape[2]))
    generator.texture.zero_()
    generator.refiner.last.weight.zero_()
    generator.shading.copy_(torch.tensor([shading, 2 * shading]))
    return generator.eval()


@torch.no_grad()
def logarithms(images: Tensor, brightness: float) -> Tensor:
    """Return the logarithm of what `brightness` was multiplied with, (N, C, H, W)."""
    return ((images + 1) / 2 / brightness).log()


def test_the_logarithm_has_mean_0_and_the_size_of_its_class() -> None:
    found = logarithms(plain(0.1, 0.2)(LATENTS, LABELS), 0.1)
    assert found.mean().abs() < 0.02
    for label, size in ((0, 0.2), (1, 0.4)):
        assert abs(float(found[label == LABELS].std()) / size - 1) < 0.05


def test_shading_is_smooth() -> None:
    found = logarithms(plain(0.1, 0.2)(LATENTS, LABELS), 0.1)
    step = (found[..., 1:] - found[..., :-1]).square().mean() / (2 * found.square().mean())
    assert step < 0.25  # 1 for noise of independent pixels


def test_black_stays_black_and_no_shading_changes_nothing() -> None:
    assert torch.allclose(plain(0.0, 0.4)(LATENTS, LABELS), torch.tensor(-1.0), atol=1e-5)
    assert torch.allclose(plain(0.3, 0.0)(LATENTS, LABELS), torch.tensor(-0.4), atol=1e-5)


def test_colours_are_shaded_alike_and_an_image_by_its_own_latent() -> None:
    generator = plain(0.1, 0.2, channels=3)
    images = generator(LATENTS, LABELS)
    assert torch.allclose(images, images[:, :1], atol=1e-5)
    assert torch.allclose(generator(LATENTS[7:9], LABELS[7:9]), images[7:9], atol=1e-4)
    assert (images[0] - images[2]).abs().max() > 0.01
