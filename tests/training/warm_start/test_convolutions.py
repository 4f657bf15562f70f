"""Rows of random convolutions never exceed norm 1, tell textures apart, and teach a generator what they say."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch import Tensor

from fedgan.data.dataset import ImageDataset
from fedgan.models.families.mixture import MixtureGenerator, begin_refinement, lay_over
from fedgan.training.warm_start import ConvolutionMap, embed, estimate_target, fit_generator

SMALL_MAP = ConvolutionMap((1, 8, 8), seed=3)


def images(count: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def norms(rows: Tensor) -> Tensor:
    return torch.linalg.vector_norm(rows.double(), dim=1)


@pytest.mark.privacy
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 9, 30), (2, 3, 2)], ids=str)
def test_rows_that_reach_too_far_are_cut_off_at_norm_one(shape: tuple[int, int, int]) -> None:
    feature_map = ConvolutionMap(shape, seed=1)
    feature_map.reach /= 10
    lengths = norms(feature_map(images(64, *shape).sign()))
    assert 1 - 1e-5 < lengths.min() <= lengths.max() <= 1


@pytest.mark.privacy
def test_one_record_moves_the_sums_by_at_most_one() -> None:
    data = ImageDataset(images(20, 1, 8, 8).sign(), torch.arange(20) % 4, 4)
    fewer = data.subset(torch.arange(19))
    assert 0.5 < float((embed(data, SMALL_MAP) - embed(fewer, SMALL_MAP)).norm()) <= 1


def test_a_map_depends_on_its_seed_alone_and_leaves_the_global_generator_be() -> None:
    state = torch.get_rng_state()
    again, other = ConvolutionMap((1, 8, 8), seed=3), ConvolutionMap((1, 8, 8), seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    pictures = images(3, 1, 8, 8)
    assert torch.equal(again(pictures), SMALL_MAP(pictures))
    assert not torch.allclose(other(pictures), SMALL_MAP(pictures), atol=1e-2)


def test_rows_carry_the_number_of_records() -> None:
    data = ImageDataset(images(30, 1, 8, 8), torch.tensor([0] * 20 + [1] * 10), 2)
    sums = embed(data, SMALL_MAP)
    assert sums[:, 0] / SMALL_MAP.count_weight == pytest.approx([20, 10], rel=1e-5)


def test_a_generator_learns_textures_from_its_convolutions_alone() -> None:
    rng = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    generator = MixtureGenerator(latent_dim=6, num_classes=2, image_shape=(1, 12, 12), width=1)
    generator.set_components(torch.ones(2, 1), torch.zeros(2, 1, 144), torch.zeros(2, 1, 5, 144))
    stripes = torch.tensor([1.0, -1.0]).repeat(6).expand(12, 12) * 0.8
    pictures = torch.stack([stripes, torch.zeros(12, 12)]).repeat(50, 1, 1)[:, None]
    labels = torch.arange(2).repeat(50)
    feature_map = ConvolutionMap((1, 12, 12), seed=1)
    sums = embed(ImageDataset(pictures, labels, 2), feature_map)
    target = estimate_target(sums, records=100, noise_std=0.0, count_weight=feature_map.count_weight)
    means, factors = generator.means.clone(), generator.factors.clone()

    def distance() -> float:
        with torch.no_grad():
            made = generator(torch.randn(400, 6, generator=torch.Generator().manual_seed(1)), torch.zeros(400).long())
            return float((feature_map(made).mean(0) - target.means[0]).norm())

    parameters = begin_refinement(generator)
    before = distance()
    fit_generator(
        generator,
        target,
        feature_map,
        steps=60,
        batch_size=40,
        learning_rate=1e-2,
        rng=rng,
        parameters=parameters,
    )
    assert distance() < 0.7 * before
    assert torch.equal(generator.means, means)
    assert torch.equal(generator.factors, factors)
    assert not generator.texture.any()
    assert not generator.shading.any()


def test_other_families_teach_means_and_factors_too() -> None:
    generator = MixtureGenerator(latent_dim=6, num_classes=2, image_shape=(1, 12, 12), width=2)
    taught = {id(parameter) for parameter in begin_refinement(generator, everything=True)}
    convolutions = {id(parameter) for parameter in generator.refiner.parameters()}
    assert taught == {id(generator.means), id(generator.factors), *convolutions}
    assert {id(parameter) for parameter in begin_refinement(generator)} == convolutions


def test_only_a_mixture_is_refined() -> None:
    with pytest.raises(ValueError, match="mixture"):
        begin_refinement(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="mixture"):
        lay_over(torch.nn.Linear(2, 2), shading=0.1, refined=True)


def test_a_refiner_adds_next_to_nothing_at_first() -> None:
    torch.manual_seed(0)
    generator = MixtureGenerator(latent_dim=6, num_classes=2, image_shape=(3, 8, 8), width=2)
    latents, labels = torch.randn(50, 6), torch.arange(50) % 2
    with torch.no_grad():
        begin = generator(latents, labels)
        for parameter in generator.refiner.parameters():
            parameter.zero_()
        assert 0 < float((generator(latents, labels) - begin).abs().max()) < 1e-2
    assert float(begin.std()) > sqrt(0.01)
