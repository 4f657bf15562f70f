"""Moments beside features: rows of generated images are those of records, and noise counts the same in both."""

from __future__ import annotations

from math import sqrt

import pytest
import torch

from fedgan.data.dataset import ImageDataset
from fedgan.models.families.mixture import MixtureGenerator, begin_refinement
from fedgan.training.warm_start import (
    Cells,
    EmbeddingTarget,
    KeptMoments,
    LocalMoments,
    MixtureFit,
    beside,
    embed,
    estimate_target,
    fit_generator,
    map_of,
    stage_shares,
)
from fedgan.training.warm_start.beside import MomentRows

CPU = torch.device("cpu")
SHAPE = (2, 8, 6)
CLASSES, CELLS, COORDINATES = 3, 4, 5
SPREAD = 2.0


def some_cells(*, based: bool) -> Cells:
    rng = torch.Generator().manual_seed(1)
    coefficients = LocalMoments.coefficients(SHAPE)
    size = COORDINATES if based else coefficients
    bases = torch.randn(CLASSES, COORDINATES, coefficients, generator=rng) / sqrt(coefficients)
    return Cells(
        origins=torch.randn(CLASSES, coefficients, generator=rng),
        bases=bases if based else torch.zeros(0, 0, 0),
        centres=torch.randn(CLASSES, CELLS, size, generator=rng),
        radii=torch.tensor([1.0, 2.0, 5.0]),
    )


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("based", [True, False])
def test_rows_of_generated_images_are_those_of_records(based: bool, order: int) -> None:
    cells = some_cells(based=based)
    rng = torch.Generator().manual_seed(2)
    images = torch.rand(60, *SHAPE, generator=rng) * 2 - 1
    labels = torch.randint(CLASSES, (60,), generator=rng)
    moments = LocalMoments(SHAPE, cells, order)
    records, places = moments.placed(images, labels)
    rows = MomentRows(SHAPE, cells, order, CPU)(images, labels).unflatten(1, (CELLS, moments.dimension))
    expected = torch.zeros(60, CELLS, moments.dimension, dtype=torch.float64)
    expected[torch.arange(60), places - labels * CELLS] = records
    assert len(set(places.tolist())) > CELLS
    torch.testing.assert_close(rows.double(), expected, rtol=1e-4, atol=1e-5)


def test_gradients_reach_the_images() -> None:
    images = (torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(3)) - 0.5).requires_grad_()
    rows = MomentRows(SHAPE, some_cells(based=True), 2, CPU)(images, torch.arange(6) % CLASSES)
    rows.square().sum().backward()
    assert images.grad is not None
    assert images.grad.flatten(1).norm(dim=1).min() > 0


def test_noise_on_the_means_is_as_large_as_the_features() -> None:
    """Releases that are nothing but noise, of the deviations that their shares give, have it in the target too."""
    rng = torch.Generator().manual_seed(4)
    cells, share, noise = some_cells(based=True), 0.55, 3.0
    dimension = LocalMoments(SHAPE, cells, 2).dimension
    kept = []
    for own in (0.1, 0.35):
        sums = torch.randn(CLASSES * CELLS, dimension, generator=rng, dtype=torch.float64) * noise / sqrt(own)
        kept.append(KeptMoments(cells, 2, sums, own))
    features = torch.randn(CLASSES, 200, generator=rng) * noise / sqrt(share)
    counts = torch.tensor([10.0, 20.0, 40.0])
    target = EmbeddingTarget(features / counts[:, None], counts, noise / sqrt(share))
    rows, both = beside(kept, target, share=share, image_shape=SHAPE, device=CPU)
    assert both.means.shape == (CLASSES, 200 + 2 * CELLS * dimension)
    assert torch.equal(both.means[:, :200], target.means)
    assert rows(torch.zeros(6, *SHAPE), torch.arange(6) % CLASSES).shape == (6, 2 * CELLS * dimension)
    deviations = both.means[:, 200:].unflatten(1, (2, -1)).std(2) * counts[:, None]
    torch.testing.assert_close(deviations, torch.full_like(deviations, noise / sqrt(share)), rtol=0.25, atol=0)


def test_noisy_features_lead_astray_by_less_where_moments_are_beside_them() -> None:
    records = two_shades()
    shares = (*(0.99 * part for part in stage_shares(4)), 0.01)
    features = map_of("fourier", records.image_shape, features=200, seed=0)

    def astray(*, with_moments: bool) -> float:
        generator, fit = estimated(records, shares[:-1])
        noise = SPREAD / sqrt(shares[-1])
        sums = embed(records, features)
        sums += noise * torch.randn(sums.shape, generator=torch.Generator().manual_seed(1), dtype=sums.dtype)
        target = estimate_target(sums, records=len(records), noise_std=noise, count_weight=features.count_weight)
        more = None
        if with_moments:
            more, target = beside(fit.kept, target, share=shares[-1], image_shape=records.image_shape, device=CPU)
        fit_generator(
            generator,
            target,
            features,
            steps=60,
            batch_size=100,
            learning_rate=0.03,
            rng=torch.Generator().manual_seed(0),
            parameters=begin_refinement(generator, everything=True),
            beside=more,
        )
        return distance_of_means(generator, records)

    moments, _ = estimated(records, shares[:-1])
    begin_refinement(moments)
    features_alone, together = astray(with_moments=False), astray(with_moments=True)
    assert together < 0.5 * features_alone
    assert together < 0.9 * distance_of_means(moments, records)


def two_shades() -> ImageDataset:
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(2000) % 2
    images = torch.full((2000, 1, 8, 8), -0.6)
    images[labels == 0, :, :, :4] = 0.4
    images[labels == 1, :, :4] = 0.4
    images = images + 0.2 * torch.randn(2000, 1, 1, 1, generator=rng) + 0.05 * torch.randn(images.shape, generator=rng)
    return ImageDataset(images.clamp(-1, 1), labels, 2)


def estimated(records: ImageDataset, shares: tuple[float, ...]) -> tuple[MixtureGenerator, MixtureFit]:
    torch.manual_seed(0)
    generator = MixtureGenerator(latent_dim=5, num_classes=2, image_shape=records.image_shape, width=3)
    fit = MixtureFit(generator, shares=shares, rng_of=lambda stage: torch.Generator().manual_seed(stage))
    rng = torch.Generator().manual_seed(7)
    for share in shares:
        sums = embed(records, fit.moments())
        noise = SPREAD / sqrt(share)
        fit.absorb(sums + noise * torch.randn(sums.shape, generator=rng, dtype=sums.dtype), noise)
    return generator, fit


@torch.no_grad()
def distance_of_means(generator: MixtureGenerator, records: ImageDataset) -> float:
    labels = torch.arange(2).repeat(500)
    images = generator(torch.randn(1000, 5, generator=torch.Generator().manual_seed(2)), labels)
    return sum(
        float((images[labels == label].mean(0) - records.images[records.labels == label].mean(0)).norm())
        for label in (0, 1)
    )
