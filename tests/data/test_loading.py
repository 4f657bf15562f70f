from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fedgan.data import DATASETS, load_data
from fedgan.errors import UsageError


def test_the_sources_are_the_documented_ones() -> None:
    assert DATASETS.names() == [
        "celeba",
        "cifar10",
        "digits",
        "fashion_mnist",
        "image_folder",
        "mnist",
        "npz",
        "omniglot",
    ]


@pytest.mark.parametrize(
    ("size", "channels", "shape"), [(0, 0, (1, 8, 8)), (16, 0, (1, 16, 16)), (0, 3, (3, 8, 8)), (64, 3, (3, 64, 64))]
)
def test_size_and_channels(size: int, channels: int, shape: tuple[int, int, int]) -> None:
    split = load_data("digits", root=None, image_size=size, channels=channels)
    for part in (split.train, split.test):
        assert part.image_shape == shape
        assert part.images.dtype == torch.uint8


@pytest.mark.parametrize("size", [-8, 1, 7, 65])
def test_sizes_out_of_range_are_refused(size: int) -> None:
    with pytest.raises(UsageError, match=r"data\.image_size.*8 to 64"):
        load_data("digits", root=None, image_size=size, channels=0)


@pytest.mark.parametrize("channels", [-1, 2, 4])
def test_channels_out_of_range_are_refused(channels: int) -> None:
    with pytest.raises(UsageError, match=r"data\.channels"):
        load_data("digits", root=None, image_size=0, channels=channels)


@pytest.mark.parametrize("own", [7, 65])
def test_an_own_size_out_of_range_asks_for_another(tmp_path: Path, own: int) -> None:
    for part in ("train", "test"):
        (tmp_path / part / "a").mkdir(parents=True)
        Image.new("L", (own, own)).save(tmp_path / part / "a" / "1.png")
    with pytest.raises(UsageError, match=rf"data\.image_size.*{own} pixels"):
        load_data("image_folder", root=tmp_path, image_size=0, channels=0)
    assert load_data("image_folder", root=tmp_path, image_size=16, channels=0).train.image_shape == (1, 16, 16)


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"data\.name = 'mnits'.*'mnist'"):
        load_data("mnits", root=None, image_size=0, channels=0)


@pytest.mark.parametrize("name", ["celeba", "cifar10", "fashion_mnist", "image_folder", "mnist", "npz", "omniglot"])
def test_a_source_without_a_root_says_what_to_put_there(name: str) -> None:
    with pytest.raises(UsageError, match=r"data\.root = ''.*holds|data\.root = ''.*\.npz file") as caught:
        load_data(name, root=None, image_size=0, channels=0)
    assert "\n" not in str(caught.value)


def test_the_home_folder_may_be_abbreviated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "x.npz", images=np.zeros((10, 8, 8), np.uint8), labels=np.zeros(10, np.int64))
    assert len(load_data("npz", root=Path("~/x.npz"), image_size=0, channels=0).train) == 8
