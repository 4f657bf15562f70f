"""Stored images answer like a generator: of the right class, each as often as any other, and nothing else."""

from __future__ import annotations

import pytest
import torch

from fedgan.training.gan import Gan, build_gan
from fedgan.training.steps import discriminator_step
from fedgan.training.stored import StoredGenerator, generate_stock
from fedgan.training.streams import stream

CLASSES = 3


def numbered(count: int) -> torch.Tensor:
    """Images (count, 1, 2, 2) that hold their own number."""
    return torch.arange(count).float().reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2).clone()


@pytest.mark.parametrize("count", [3, 4, 5, 8, 30])
def test_each_image_of_a_class_is_as_likely_as_any_other(count: int) -> None:
    stored = StoredGenerator(numbered(count), CLASSES)
    rng = torch.Generator().manual_seed(0)
    draws = 3000 * CLASSES
    labels = torch.arange(draws) % CLASSES
    found = stored(torch.randn(draws, 1, generator=rng), labels)
    assert found.shape == (draws, 1, 2, 2)
    numbers = found[:, 0, 0, 0].long()
    assert torch.equal(numbers % CLASSES, labels)
    for label in range(CLASSES):
        members = torch.arange(label, count, CLASSES)
        shares = torch.bincount(numbers[labels == label], minlength=count)[members] / 3000
        spread = 5 * ((1 / len(members)) * (1 - 1 / len(members)) / 3000) ** 0.5
        torch.testing.assert_close(shares, torch.full_like(shares, 1 / len(members)), atol=spread + 1e-9, rtol=0)


def test_latents_without_bound_stay_among_the_images() -> None:
    stored = StoredGenerator(numbered(7), CLASSES)
    extremes = torch.tensor([[-1e30], [1e30], [-40.0], [40.0], [0.0]])
    numbers = [int(image[0, 0, 0]) for image in stored(extremes, torch.zeros(5, dtype=torch.int64))]
    assert numbers == [0, 6, 0, 6, 3]
    assert stored(torch.zeros(0, 1), torch.zeros(0, dtype=torch.int64)).shape == (0, 1, 2, 2)


def test_a_class_without_an_image_is_refused() -> None:
    with pytest.raises(ValueError, match="2 images leave some of 3 classes without any"):
        StoredGenerator(numbered(2), CLASSES)


@pytest.fixture
def gan() -> Gan:
    return build_gan(
        "mlp", latent_dim=4, width=8, num_classes=3, image_shape=(1, 8, 8), seed=0, device=torch.device("cpu")
    )


@pytest.mark.parametrize("count", [3, 256, 300])
def test_the_stock_is_what_the_generator_makes_class_by_class(gan: Gan, count: int) -> None:
    gan.generator.train()
    images = generate_stock(gan, count, stream(0, "images"))
    assert not gan.generator.training
    latents = torch.randn(count, 4, generator=stream(0, "images"))
    with torch.no_grad():
        wanted = gan.generate(latents, torch.arange(count) % 3)
    torch.testing.assert_close(images, wanted, atol=1e-6, rtol=1e-5)
    assert not images.requires_grad
    assert torch.equal(generate_stock(gan, count, stream(0, "images")), images)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_discriminator_learns_from_stored_images_alone(gan: Gan, precision: str) -> None:
    from fedgan.losses import LOSSES
    from fedgan.privacy.gradient import PlainGradient

    stored = StoredGenerator(generate_stock(gan, 12, stream(0, "images")), 3)
    client = Gan(stored, gan.discriminator, precision)  # type: ignore[arg-type]
    assert client.device == torch.device("cpu")
    before = [parameter.detach().clone() for parameter in gan.discriminator.parameters()]
    discriminator_step(
        client,
        torch.zeros(2, 1, 8, 8),
        torch.tensor([0, 2]),
        fakes=6,
        loss=LOSSES["non_saturating"],
        gradient=PlainGradient(),
        optimizer=torch.optim.SGD(gan.discriminator.parameters(), lr=0.1),
        rng=stream(0, "steps"),
    )
    assert any(not torch.equal(old, new) for old, new in zip(before, gan.discriminator.parameters(), strict=True))
