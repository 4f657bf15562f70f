"""A mixture generator is estimated from moments: its samples have the records' means, spreads and clusters."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fedgan.data.dataset import ImageDataset
from fedgan.errors import UsageError
from fedgan.models import build_generator
from fedgan.models.families.mixture import MixtureGenerator
from fedgan.training.streams import stream
from fedgan.training.warm_start import MixtureFit, embed, most_numbers, stage_shares

SHAPE = (1, 8, 8)
STAGES = 6


def two_kinds(records: int = 3000) -> ImageDataset:
    """Return two classes of two kinds of image each: a bright left or right, or a bright top or bottom (1 in 4)."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (records,), generator=rng)
    first = torch.rand(records, generator=rng) < 0.75
    images = torch.full((records, *SHAPE), -0.5)
    images[(labels == 0) & first, :, :, :4] = 0.5
    images[(labels == 0) & ~first, :, :, 4:] = 0.5
    images[(labels == 1) & first, :, :4] = 0.5
    images[(labels == 1) & ~first, :, 4:] = 0.5
    shade = torch.randn(records, 1, 1, 1, generator=rng) * 0.1
    return ImageDataset((images + shade).clamp(-1, 1), labels, 2)


def generator(components: int = 6) -> MixtureGenerator:
    built = build_generator("mixture", latent_dim=5, num_classes=2, image_shape=SHAPE, width=components, seed=0)
    assert isinstance(built, MixtureGenerator)
    return built


def fitted(records: ImageDataset, noise_std: float, *, seed: int = 0, stop: int = STAGES) -> MixtureFit:
    fit = new_fit(generator(), seed)
    rng = torch.Generator().manual_seed(9)
    while fit.stage < stop:
        absorb(fit, records, noise_std, rng)
    return fit


def new_fit(network: MixtureGenerator, seed: int = 0) -> MixtureFit:
    return MixtureFit(network, shares=stage_shares(STAGES), rng_of=lambda stage: stream(seed, "cells", stage))


def absorb(fit: MixtureFit, records: ImageDataset, noise_std: float, rng: torch.Generator) -> None:
    sums = embed(records, fit.moments())
    fit.absorb(sums + torch.randn(sums.shape, generator=rng, dtype=sums.dtype) * noise_std, noise_std)


@torch.no_grad()
def samples(network: MixtureGenerator, label: int, count: int = 2000) -> Tensor:
    latents = torch.randn(count, network.latent_dim, generator=torch.Generator().manual_seed(3))
    made: Tensor = network(latents, torch.full((count,), label))
    return made


@pytest.mark.parametrize("noise_std", [0.0, 1.0])
def test_samples_have_both_kinds_as_often_as_the_records(noise_std: float) -> None:
    fit = fitted(two_kinds(), noise_std)
    assert fit.done
    sideways = samples(fit._generator, 0)
    left = (sideways[..., :4].mean((1, 2, 3)) - sideways[..., 4:].mean((1, 2, 3)) > 0).float().mean()
    assert float(left) == pytest.approx(0.75, abs=0.06)
    contrast = (sideways[..., :4].mean((1, 2, 3)) - sideways[..., 4:].mean((1, 2, 3))).abs()
    assert float(contrast.mean()) == pytest.approx(1.0, abs=0.1)
    shade = samples(fit._generator, 1).mean((1, 2, 3))
    assert float(shade.std()) == pytest.approx(0.1, abs=0.03)


def test_so_much_noise_that_nothing_is_left_still_makes_images() -> None:
    made = samples(fitted(two_kinds(60), 1e4)._generator, 0)
    assert torch.isfinite(made).all()
    assert -1 <= float(made.min()) <= float(made.max()) <= 1


def test_a_class_without_records_still_makes_images() -> None:
    records = two_kinds(400)
    only = records.subset((records.labels == 1).nonzero().flatten())
    for noise_std in (0.0, 0.5):
        assert torch.isfinite(samples(fitted(only, noise_std)._generator, 0)).all()


@pytest.mark.parametrize("stage", range(1, STAGES))
def test_a_fit_goes_on_from_what_was_kept(stage: int) -> None:
    records = two_kinds(500)
    whole, kept = fitted(records, 0.0), fitted(records, 0.0, stop=stage)
    other = new_fit(generator())
    other.load(kept.stage, kept.arrays())
    while not other.done:
        absorb(other, records, 0.0, torch.Generator())
    for name, tensor in whole._generator.state_dict().items():
        assert torch.equal(other._generator.state_dict()[name], tensor)


def test_more_noise_makes_fewer_cells() -> None:
    records = two_kinds(500)
    counts = [fitted(records, noise_std, stop=2).arrays()["centres"].shape[1] for noise_std in (0.0, 0.25, 10.0)]
    assert counts == [6, 4, 3]


def test_releases_are_no_larger_than_foretold() -> None:
    fit, records, numbers = new_fit(generator()), two_kinds(200), 0
    while not fit.done:
        numbers += embed(records, fit.moments()).numel()
        absorb(fit, records, 0.0, torch.Generator())
    assert 0.3 * most_numbers(fit._generator, STAGES) < numbers <= most_numbers(fit._generator, STAGES)


@pytest.mark.parametrize("stages", [3, 4, 5, 12])
def test_shares_are_positive_and_one_in_sum(stages: int) -> None:
    shares = stage_shares(stages)
    assert len(shares) == stages
    assert min(shares) > 0
    assert sum(shares) == pytest.approx(1.0, abs=1e-12)


def test_fewer_than_three_stages_are_refused() -> None:
    with pytest.raises(UsageError, match=r"training\.warm_start_stages = 2"):
        stage_shares(2)
