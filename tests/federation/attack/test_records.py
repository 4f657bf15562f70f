"""Canaries among records: a coin decides whether a row is there, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fedgan.data.dataset import ImageDataset
from fedgan.data.digest import dataset_digest
from fedgan.federation.attack.images import canary_images
from fedgan.federation.attack.records import ClientCanaries, place_canaries

pytestmark = pytest.mark.privacy

Place = Callable[..., ClientCanaries]


def test_rows_that_are_out_are_never_delivered(place: Place) -> None:
    records = place(directions=30, images=20, members=16).records
    images, codes = records.batch(torch.arange(len(records)))
    assert len(records) == 48 + 20 + 30
    assert len(images) == len(codes) == int(records.included.sum())
    assert not records.included.all()
    out = torch.nonzero(~records.included)[:, 0]
    assert len(records.batch(out)[0]) == 0


def test_codes_are_labels_and_then_directions(place: Place) -> None:
    placed = place(directions=30, images=20)
    records = placed.records
    rows = torch.nonzero(records.included)[:, 0]
    _, codes = records.batch(rows)
    assert torch.equal(codes % 4, records.labels[rows])
    assert torch.equal(codes // 4, records.directions[rows])
    assert records.directions[torch.from_numpy(placed.gradient)].tolist() == list(range(1, 31))
    assert records.directions[:68].eq(0).all()


def test_records_without_a_coin_are_all_there(place: Place, records: ImageDataset) -> None:
    placed = place(directions=50, images=50, members=10)
    coined = np.concatenate([placed.gradient, placed.input, placed.sample])
    rest = np.setdiff1d(np.arange(len(placed.records)), coined)
    assert len(rest) == 38
    assert placed.records.included[torch.from_numpy(rest)].all()
    assert torch.equal(placed.records.images[:48], records.images)
    assert torch.equal(placed.records.labels[:48], records.labels)


def test_the_view_without_directions_is_the_same_data_set_with_fewer_rows(place: Place) -> None:
    records = place(directions=30, images=20, members=16).records
    view = records.without_directions()
    assert dataset_digest(view) == dataset_digest(records)
    _, codes = view.batch(torch.arange(len(view)))
    assert len(codes) == int((records.included & (records.directions == 0)).sum())
    assert codes.max() < 4


def test_the_seed_decides_every_coin_and_another_decides_otherwise(place: Place) -> None:
    first, again, other = (place(directions=200, images=60, members=20, seed=seed).records for seed in (1, 1, 2))
    assert torch.equal(first.included, again.included)
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.included, other.included)


def test_coins_are_fair_and_say_nothing_of_their_place(place: Place) -> None:
    """Bounds at 5.5 standard errors of 20,000 coins."""
    coins = place(directions=20_000, seed=3).records.included[48:].double() - 0.5
    assert abs(float(coins.mean())) < 0.5 * 5.5 / 20_000**0.5
    assert abs(float((coins[1:] * coins[:-1]).mean())) < 0.25 * 5.5 / 20_000**0.5


def test_at_most_half_of_the_own_records_get_a_coin(place: Place) -> None:
    placed = place(members=1000)
    assert len(placed.sample) == 24
    assert len(set(placed.sample)) == 24
    assert placed.public_records == 48


@pytest.mark.parametrize("floats", [False, True])
def test_canary_images_are_of_the_records_kind(records: ImageDataset, floats: bool) -> None:
    if floats:
        records = ImageDataset(records.images.float() / 127.5 - 1, records.labels, records.num_classes)
    canaries = canary_images(records, records, 60, np.random.default_rng(1))
    assert canaries.images.dtype == records.images.dtype
    assert canaries.image_shape == records.image_shape
    pictures = canaries.images.flatten(1)
    assert all(len(row.unique()) == 1 for row in pictures[0::3])
    assert all(len(row.unique()) > 30 for row in pictures[1::3])
    for picture, label in zip(pictures[2::3], canaries.labels[2::3], strict=True):
        distances = (records.images.flatten(1).float() - picture.float()).abs().amax(1)
        assert distances.min() <= 1e-5
        assert records.labels[distances.argmin()] != label


def test_one_class_has_no_wrong_label() -> None:
    one = ImageDataset(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64), 1)
    placed = place_canaries(one, one, directions=2, images=6, members=2, seed=0)
    assert placed.records.labels.eq(0).all()
