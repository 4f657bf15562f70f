"""`fedgan generate`: what was asked for, in the form that was asked for, or one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedgan.data import load_data


def test_an_archive_holds_images_and_labels(fedgan: Callable, run: Path, tmp_path: Path) -> None:
    file = tmp_path / "new" / "images.npz"
    result = fedgan("generate", run, "--count", 25, "--output", file)
    assert (result.code, result.out, result.err) == (0, f"25 images: {file}\n", "")
    with np.load(file) as archive:
        assert sorted(archive.files) == ["images", "labels"]
        images, labels = archive["images"], archive["labels"]
    assert (images.shape, images.dtype) == ((25, 1, 8, 8), np.float32)
    assert -1 <= images.min() < images.max() <= 1
    assert labels.dtype == np.int64
    assert sorted(np.bincount(labels, minlength=10)) == [2] * 5 + [3] * 5


def test_an_archive_is_a_data_source(fedgan: Callable, run: Path, tmp_path: Path) -> None:
    fedgan("generate", run, "--count", 50, "--output", tmp_path / "images.npz")
    split = load_data("npz", root=tmp_path / "images.npz", image_size=0, channels=0)
    assert (len(split.train), len(split.test), split.train.image_shape) == (40, 10, (1, 8, 8))


def test_labels_are_taken_in_turn(fedgan: Callable, run: Path, tmp_path: Path) -> None:
    fedgan("generate", run, "--count", 5, "--labels", "7,0", "--output", tmp_path / "images.npz")
    with np.load(tmp_path / "images.npz") as archive:
        assert archive["labels"].tolist() == [7, 0, 7, 0, 7]


def test_a_seed_chooses_the_images(fedgan: Callable, run: Path, tmp_path: Path) -> None:
    images = []
    for number, seed in enumerate([3, 3, 4]):
        fedgan("generate", run, "--count", 4, "--seed", seed, "--output", tmp_path / f"{number}.npz")
        with np.load(tmp_path / f"{number}.npz") as archive:
            images.append(archive["images"])
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_a_picture_is_a_grid(fedgan: Callable, run: Path, tmp_path: Path) -> None:
    assert fedgan("generate", run, "--count", 20, "--output", tmp_path / "grid.png").code == 0
    with Image.open(tmp_path / "grid.png") as image:
        assert image.format == "PNG"
        low, high = image.convert("L").getextrema()
    assert low < high


def test_a_folder_holds_one_picture_an_image_by_class(fedgan: Callable, run: Path, tmp_path: Path) -> None:
    fedgan("generate", run, "--count", 5, "--labels", "7,0", "--output", tmp_path / "images")
    fedgan("generate", run, "--count", 5, "--labels", "7,0", "--output", tmp_path / "images.npz")
    found = sorted(str(path.relative_to(tmp_path / "images")) for path in (tmp_path / "images").rglob("*.png"))
    assert found == ["0/00001.png", "0/00003.png", "7/00000.png", "7/00002.png", "7/00004.png"]
    with np.load(tmp_path / "images.npz") as archive, Image.open(tmp_path / "images" / "0" / "00003.png") as image:
        assert image.mode == "L"
        np.testing.assert_allclose(np.asarray(image) / 127.5 - 1, archive["images"][3, 0], atol=0.5 / 127.5 + 1e-6)


@pytest.mark.parametrize("labels", ["10", "-1", "0,10", "a", "", "1,", "0.5"])
def test_labels_that_are_no_classes_are_refused(refused: Callable, run: Path, tmp_path: Path, labels: str) -> None:
    line = refused("generate", run, "--count", 5, "--labels", labels, "--output", tmp_path / "x.npz")
    accepted = "whole numbers from 0 to 9, joined by commas"
    assert line == f"--labels = {labels!r} is not accepted: give {accepted}"
    assert not (tmp_path / "x.npz").exists()


@pytest.mark.parametrize("name", ["x.jpg", "x.npy", "x.tar.gz"])
def test_another_form_is_refused(refused: Callable, run: Path, tmp_path: Path, name: str) -> None:
    line = refused("generate", run, "--count", 5, "--output", tmp_path / name)
    assert "give a name that ends in .png or .npz, or a folder without a suffix" in line


def test_a_folder_in_use_is_left_alone(refused: Callable, run: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mine").write_text("mine")
    line = refused("generate", run, "--count", 5, "--output", tmp_path / "images")
    assert line == f"--output {tmp_path / 'images'}: the folder is not empty"
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["file/x.png", "file/x.npz", "file/x", "file"])
def test_a_place_that_cannot_be_written_is_refused(refused: Callable, run: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine")
    line = refused("generate", run, "--count", 1, "--output", tmp_path / name)
    assert line.startswith(f"--output {tmp_path / name}: cannot write there: ")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("seed", ["-1", str(2**64), "one"])
def test_a_seed_out_of_range_is_refused(refused: Callable, run: Path, tmp_path: Path, seed: str) -> None:
    assert "--seed" in refused("generate", run, "--count", 1, "--seed", seed, "--output", tmp_path / "x.npz")


def test_the_run_is_not_changed(fedgan: Callable, contents: Callable, run: Path, tmp_path: Path) -> None:
    before = contents(run)
    fedgan("generate", run, "--count", 1, "--output", tmp_path / "x.npz")
    assert contents(run) == before
