"""A mixture's draws: shared out by the weights, by the draw's own latent alone, and made by the part as ever."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from fedgan.evaluation import generate_images
from fedgan.models import build_discriminator, build_generator
from fedgan.models.mixture import MeanDiscriminator, MixtureGenerator

SHAPE = (1, 8, 8)


class Constant(nn.Module):
    """Makes images of one value, and keeps the latents and labels that it was given."""

    def __init__(self, value: float, latent_dim: int = 3) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))
        self.latent_dim, self.num_classes, self.image_shape = latent_dim, 4, SHAPE
        self.given: list[tuple[Tensor, Tensor]] = []

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        assert latents.shape == (len(labels), self.latent_dim)
        self.given.append((latents, labels))
        return self.value.expand(len(latents), *SHAPE).clone()


def generators() -> list[nn.Module]:
    made = [
        build_generator(name, latent_dim=dim, num_classes=4, image_shape=SHAPE, width=16, seed=dim)
        for name, dim in (("mlp", 3), ("dcgan", 5))
    ]
    return [each.eval() for each in made]


@pytest.mark.parametrize("weights", [(1.0,), (0.5, 0.5), (0.7, 0.2, 0.1), (0.01, 0.98, 0.01)])
def test_parts_are_drawn_by_their_weights(weights: tuple[float, ...]) -> None:
    count = 20_000
    mixture = MixtureGenerator([Constant(index / 4) for index in range(len(weights))], weights)
    values = generate_images(mixture, count, seed=1).images[:, 0, 0, 0]
    for index, weight in enumerate(weights):
        found = int((values == index / 4).sum())
        assert abs(found - weight * count) <= 5 * math.sqrt(weight * (1 - weight) * count)


def test_what_a_part_makes_it_makes_as_alone() -> None:
    parts = generators()
    mixture = MixtureGenerator(parts, (0.4, 0.6)).eval()
    assert (mixture.latent_dim, mixture.num_classes, mixture.image_shape) == (6, 4, SHAPE)
    latents, labels = torch.randn(64, 6, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 4
    with torch.no_grad():
        images = mixture(latents, labels)
        bound = torch.special.ndtri(torch.tensor(0.4))
        for row in range(64):
            part = parts[int(latents[row, 0] > bound)]
            alone = part(latents[row : row + 1, 1 : 1 + part.latent_dim], labels[row : row + 1])  # type: ignore[operator]
            torch.testing.assert_close(images[row], alone[0], rtol=1e-4, atol=1e-5)


def test_an_image_does_not_depend_on_the_batch() -> None:
    mixture = MixtureGenerator(generators(), (0.4, 0.6))
    whole = generate_images(mixture, 50, seed=3).images
    torch.testing.assert_close(generate_images(mixture, 50, seed=3, batch=7).images, whole, rtol=1e-4, atol=1e-5)


def test_labels_have_no_say_in_the_part() -> None:
    parts = [Constant(0.0), Constant(0.5)]
    mixture = MixtureGenerator(parts, (0.5, 0.5))
    images = [generate_images(mixture, 40, labels=[label], seed=3).images for label in (0, 3)]
    assert torch.equal(*images)
    assert {int(label) for part in parts for _, labels in part.given for label in labels} == {0, 3}


def test_the_discriminator_is_the_weighted_mean() -> None:
    parts = [
        build_discriminator("mlp", num_classes=4, image_shape=SHAPE, width=8, seed=seed).eval() for seed in range(3)
    ]
    images, labels = torch.rand(5, *SHAPE), torch.arange(5) % 4
    found = MeanDiscriminator(parts, (0.5, 0.3, 0.2))(images, labels)
    wanted = 0.5 * parts[0](images, labels) + 0.3 * parts[1](images, labels) + 0.2 * parts[2](images, labels)
    torch.testing.assert_close(found, wanted)
