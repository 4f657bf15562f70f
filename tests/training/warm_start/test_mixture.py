"""A mixture generator is estimated from moments: its samples have the records' means, spreads and clusters."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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


Seen = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


def coarse(cells: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return `cells` rounded on their way, to steps of a 127th of the largest number of each."""
    steps = {name: max([1e-30, *tensor.abs().flatten().tolist()]) / 127 for name, tensor in cells.items()}
    return {name: (tensor / steps[name]).round() * steps[name] for name, tensor in cells.items()}


def fitted(records: ImageDataset, noise_std: float, *, stop: int = STAGES, as_seen: Seen = dict) -> MixtureFit:
    fit = new_fit(generator(), as_seen)
    rng = torch.Generator().manual_seed(9)
    while fit.stage < stop:
        absorb(fit, records, noise_std, rng)
    return fit


def new_fit(network: MixtureGenerator, as_seen: Seen = dict) -> MixtureFit:
    shares = stage_shares(STAGES)
    return MixtureFit(network, shares=shares, rng_of=lambda stage: stream(0, "cells", stage), as_seen=as_seen)


def absorb(fit: MixtureFit, records: ImageDataset, noise_std: float, rng: torch.Generator) -> None:
    sums = embed(records, fit.moments())
    fit.absorb(sums + torch.randn(sums.shape, generator=rng, dtype=sums.dtype) * noise_std, noise_std)


@torch.no_grad()
def samples(network: MixtureGenerator, label: int, count: int = 2000) -> Tensor:
    latents = torch.randn(count, network.latent_dim, generator=torch.Generator().manual_seed(3))
    made: Tensor = network(latents, torch.full((count,), label))
    return made


@pytest.mark.parametrize(("noise_std", "as_seen"), [(0.0, dict), (1.0, dict), (0.0, coarse), (1.0, coarse)])
def test_samples_have_both_kinds_as_often_as_the_records(noise_std: float, as_seen: Seen) -> None:
    fit = fitted(two_kinds(), noise_std, as_seen=as_seen)
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


def test_what_is_read_is_read_about_the_cells_that_records_were_placed_in() -> None:
    """Means of cells move the centres that were seen, not those that were sent."""
    sent, seen = fitted(two_kinds(), 0.0, stop=3), fitted(two_kinds(), 0.0, stop=2, as_seen=coarse)
    placed = coarse(seen.arrays())["centres"]
    sums = embed(two_kinds(0), seen.moments())  # nobody there: centres stay where they were seen
    seen.absorb(sums, 0.0)
    assert torch.equal(seen.arrays()["centres"], placed)
    assert not torch.equal(placed, sent.arrays()["centres"])


def test_a_class_whose_records_are_all_alike_has_a_radius_that_rounding_leaves() -> None:
    records = two_kinds()
    alike = records.images.clone()
    alike[records.labels == 1] = 0.25
    fit = fitted(ImageDataset(alike, records.labels, 2), 0.0, stop=2, as_seen=coarse)
    radii = fit.arrays()["radii"]
    assert float(radii.min()) < 0.02 * float(radii.max())
    assert (coarse(fit.arrays())["radii"] > 0).all()


def test_more_noise_makes_fewer_cells() -> None:
    records = two_kinds(500)
    counts = [fitted(records, noise_std, stop=2).arrays()["centres"].shape[1] for noise_std in (0.0, 0.25, 10.0)]
    assert counts == [6, 4, 3]


def test_more_noise_makes_fewer_cosines_and_leaves_the_lowest() -> None:
    records = two_kinds(500)
    cells = [fitted(records, noise_std, stop=1).arrays() for noise_std in (0.0, 10.0, 1e4)]
    assert [one["centres"].shape[2] for one in cells] == [64, 36, 16]
    assert cells[0]["bases"].numel() == 0
    lowest = [8 * row + column for row in range(4) for column in range(4)]
    assert torch.equal(cells[2]["bases"], torch.eye(64)[lowest].expand(2, -1, -1))
    directions = fitted(records, 1e4, stop=2).arrays()["bases"]
    assert directions[..., lowest].norm(dim=2) == pytest.approx(1.0, abs=1e-5)
    assert directions.norm(dim=2) == pytest.approx(1.0, abs=1e-5)


def test_releases_are_no_larger_than_foretold() -> None:
    fit, records, numbers = new_fit(generator()), two_kinds(200), []
    while not fit.done:
        numbers.append(embed(records, fit.moments()).numel())
        absorb(fit, records, 0.0, torch.Generator())
    for count, most in zip(numbers, most_numbers(fit._generator, STAGES), strict=True):
        assert 0.15 * most < count <= most


@pytest.mark.parametrize("stages", [3, 4, 5, 12])
def test_shares_are_positive_and_one_in_sum(stages: int) -> None:
    shares = stage_shares(stages)
    assert len(shares) == stages
    assert min(shares) > 0
    assert sum(shares) == pytest.approx(1.0, abs=1e-12)


def test_fewer_than_three_stages_are_refused() -> None:
    with pytest.raises(UsageError, match=r"training\.warm_start_stages = 2"):
        stage_shares(2)
