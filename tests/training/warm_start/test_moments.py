"""One record moves the moments of one cell by at most 1, whatever its pixels and whatever the cells are."""

from __future__ import annotations

from math import inf, nan, sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fedgan.data.dataset import ImageDataset
from fedgan.models.cosines import low_cosines, orthonormal_cosines
from fedgan.training.warm_start import Cells, LocalMoments, embed

SHAPE = (1, 4, 4)
CLASSES = 3


def some_cells(seed: int, *, count: int = 4, coordinates: int = 5, radius: float = 1.0) -> Cells:
    rng = torch.Generator().manual_seed(seed)
    return Cells(
        origins=torch.randn(CLASSES, 16, generator=rng),
        bases=torch.randn(CLASSES, coordinates, 16, generator=rng),
        centres=torch.randn(CLASSES, count, coordinates, generator=rng),
        radii=torch.full((CLASSES,), radius),
    )


def whole_images(radius: float = 4.0) -> Cells:
    nothing = torch.zeros(0, 0, 0)
    return Cells(torch.zeros(CLASSES, 16), nothing, torch.zeros(CLASSES, 1, 16), torch.full((CLASSES,), radius))


def dataset(records: int, seed: int = 0) -> ImageDataset:
    rng = torch.Generator().manual_seed(seed)
    images = torch.rand(records, *SHAPE, generator=rng) * 2 - 1
    return ImageDataset(images, torch.randint(CLASSES, (records,), generator=rng), CLASSES)


class UncheckedRecords:
    """Stands in for an ImageDataset whose images were never checked."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels, self.num_classes = images, labels, CLASSES

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self.images[indices], self.labels[indices]


PIXELS = st.lists(st.one_of(st.floats(width=32), st.sampled_from([nan, inf, -inf, 3e38])), min_size=16, max_size=16)


@pytest.mark.privacy
@settings(deadline=None, max_examples=100)
@given(
    pixels=PIXELS,
    label=st.integers(0, CLASSES - 1),
    others=st.integers(0, 9),
    order=st.sampled_from([1, 2]),
    radius=st.sampled_from([1e-30, 1e-3, 1.0, 1e30]),
)
def test_one_record_moves_the_sums_by_at_most_one(
    pixels: list[float], label: int, others: int, order: int, radius: float
) -> None:
    moments = LocalMoments(SHAPE, some_cells(others, radius=radius), order)
    base = dataset(others, seed=others)
    images = torch.cat([base.images, torch.tensor(pixels).reshape(1, *SHAPE)])
    labels = torch.cat([base.labels, torch.tensor([label])])
    without = embed(UncheckedRecords(base.images, base.labels), moments)  # type: ignore[arg-type]
    moved = embed(UncheckedRecords(images, labels), moments) - without  # type: ignore[arg-type]
    touched = moved.norm(dim=1).nonzero().flatten().tolist()
    assert len(touched) == 1
    assert touched[0] // 4 == label
    assert moments.count_weight * 0.99 < float(moved.norm()) <= 1


@pytest.mark.privacy
@pytest.mark.parametrize("order", [1, 2])
def test_a_far_record_has_a_row_of_norm_one(order: int) -> None:
    moments = LocalMoments(SHAPE, some_cells(1, radius=1e-3), order)
    rows, _ = moments.placed(*dataset(50).batch(torch.arange(50)))
    norms = rows.norm(dim=1)
    assert 1 - 1e-5 < float(norms.min()) <= float(norms.max()) <= 1


@pytest.mark.privacy
@settings(deadline=None, max_examples=40)
@given(first=st.integers(0, 40), size=st.integers(1, 33), order=st.sampled_from([1, 2]))
def test_a_record_is_placed_without_regard_to_the_others(first: int, size: int, order: int) -> None:
    """Else the removal of one record could move another to the next cell, and the sums by more than 1."""
    moments = LocalMoments(SHAPE, some_cells(3), order)
    images, labels = dataset(80).batch(torch.arange(80))
    rows, cells = moments.placed(images, labels)
    part = slice(first, first + size)
    some_rows, some_places = moments.placed(images[part], labels[part])
    assert torch.equal(some_rows, rows[part])
    assert torch.equal(some_places, cells[part])


@pytest.mark.privacy
@pytest.mark.parametrize("hostile", ["origins", "bases", "centres"])
@pytest.mark.parametrize("value", [inf, nan, 3e38])
def test_no_cells_make_a_row_longer(hostile: str, value: float) -> None:
    cells = some_cells(2)
    getattr(cells, hostile).fill_(value)
    rows, places = LocalMoments(SHAPE, cells, 2).placed(*dataset(20).batch(torch.arange(20)))
    assert torch.isfinite(rows).all()
    assert float(rows.norm(dim=1).max()) <= 1
    assert 0 <= int(places.min()) <= int(places.max()) < CLASSES * 4


def test_sums_are_the_moments_about_the_nearest_centre() -> None:
    records, cells = dataset(60), some_cells(4, radius=8.0)
    moments = LocalMoments(SHAPE, cells, 2)
    rows, columns = low_cosines(4, 4)
    expected = torch.zeros(CLASSES * 4, 1 + 5 + 25, dtype=torch.float64)
    for index in range(60):
        image, label = (tensor[0] for tensor in records.batch(torch.tensor([index])))
        low = (rows @ image[0].double() @ columns.t()).flatten()
        own = cells.bases[label].double() @ (low - cells.origins[label].double()) / 8.0
        distances = [float((own - centre.double()).norm()) for centre in cells.centres[label]]
        cell = distances.index(min(distances))
        offset = own - cells.centres[label, cell].double()
        offset = offset / max(1.0, float(offset.norm()))
        expected[label * 4 + cell] += torch.cat([torch.ones(1), offset, torch.outer(offset, offset).flatten()])
    sums = embed(records, moments, batch=7) / (1 - 1e-6)
    torch.testing.assert_close(sums[:, 0] / moments.count_weight, expected[:, 0])
    torch.testing.assert_close(sums[:, 1:6] / moments.mean_weight, expected[:, 1:6])
    products = moments.symmetric(sums[:, 6:]) / moments.product_weight
    torch.testing.assert_close(products.flatten(1), expected[:, 6:])


def test_without_bases_the_coefficients_are_the_coordinates() -> None:
    images, labels = dataset(9).batch(torch.arange(9))
    moments = LocalMoments(SHAPE, whole_images(), 1)
    rows, places = moments.placed(images, labels)
    assert torch.equal(places, labels)
    offsets = rows[:, 1:] / moments.mean_weight / (1 - 1e-6) * 4
    torch.testing.assert_close(offsets.square().sum(1), images.double().flatten(1).square().sum(1))


def test_the_parts_of_a_row_share_its_norm() -> None:
    for order in (1, 2):
        moments = LocalMoments(SHAPE, whole_images(), order)
        weights = (moments.count_weight, moments.mean_weight, moments.product_weight)
        assert sqrt(sum(weight**2 for weight in weights)) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("length", [1, 7, 28])
def test_cosines_are_orthonormal(length: int) -> None:
    basis = orthonormal_cosines(length, length)
    torch.testing.assert_close(basis @ basis.t(), torch.eye(length, dtype=torch.float64), rtol=0, atol=1e-12)
    assert (basis[0] > 0).all()
