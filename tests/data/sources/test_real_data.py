"""Facts about the real sets; they run with `-m data` where FEDGAN_DATA names the folder that holds them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fedgan.data import class_counts, load_data, partition

pytestmark = pytest.mark.data


@pytest.fixture
def folder() -> Path:
    if "FEDGAN_DATA" not in os.environ:
        pytest.skip("FEDGAN_DATA is not set")
    return Path(os.environ["FEDGAN_DATA"])


@pytest.mark.parametrize(("name", "smallest", "largest"), [("mnist", 5421, 6742), ("fashion_mnist", 6000, 6000)])
def test_mnist_and_fashion_mnist(folder: Path, name: str, smallest: int, largest: int) -> None:
    split = load_data(name, root=folder, image_size=0, channels=0)
    assert (len(split.train), len(split.test)) == (60_000, 10_000)
    counts = split.train.labels.bincount(minlength=10)
    assert (counts.min().item(), counts.max().item()) == (smallest, largest)


def test_pneumonia(folder: Path) -> None:
    root = folder / "pneumoniamnist" / "pneumoniamnist.npz"
    split = load_data("npz", root=root, image_size=0, channels=0)
    assert (len(split.train), len(split.test), split.train.num_classes) == (4708, 624, 2)


def test_omniglot(folder: Path) -> None:
    split = load_data("omniglot", root=folder / "omniglot", image_size=0, channels=0)
    train = split.train
    assert (len(train) + len(split.test), train.num_classes) == (4840, 8)
    assert train.owners is not None
    labels = train.labels.numpy()
    parts = partition(
        "natural", labels=labels, owners=train.owners.numpy(), clients=20, alpha=1.0, shards_per_client=1, seed=0
    )
    assert (class_counts(labels, parts, 8) > 0).all()
