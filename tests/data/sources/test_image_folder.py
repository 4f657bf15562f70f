from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from fedgan.data import load_data
from fedgan.errors import UsageError


def put(path: Path, level: int, size: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (size, size), level).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path / "train" / "dog" / "b.png", 40)
    put(tmp_path / "train" / "dog" / "a.PNG", 30)
    put(tmp_path / "train" / "cat" / "2.bmp", 20)
    put(tmp_path / "train" / "cat" / "10.png", 10)
    put(tmp_path / "test" / "dog" / "z.png", 50)
    (tmp_path / "train" / "emu").mkdir()
    (tmp_path / "train" / ".cache").mkdir()
    (tmp_path / "train" / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "train" / "cat" / "._10.png").write_text("not an image")
    return tmp_path


def test_classes_and_files_are_sorted_by_name(root: Path) -> None:
    split = load_data("image_folder", root=root, image_size=0, channels=0)
    assert split.train.images[:, 0, 0, 0].tolist() == [10, 20, 30, 40]
    assert split.train.labels.tolist() == [0, 0, 1, 1]
    assert split.test.images[:, 0, 0, 0].tolist() == [50]
    assert split.test.labels.tolist() == [1]
    # The empty folder counts: whoever lays out the folders says which classes there are.
    assert split.train.num_classes == split.test.num_classes == 3


def test_a_test_class_that_is_not_trained_on_is_named(root: Path) -> None:
    put(root / "test" / "fox" / "1.png", 0)
    with pytest.raises(UsageError, match=r"data\.root.*train/fox/"):
        load_data("image_folder", root=root, image_size=0, channels=0)


def test_missing_parts_say_what_to_put_there(root: Path) -> None:
    (root / "test" / "dog" / "z.png").unlink()
    with pytest.raises(UsageError, match=r"data\.root.*test.*image file"):
        load_data("image_folder", root=root, image_size=0, channels=0)
    (root / "test" / "dog").rmdir()
    (root / "test").rmdir()
    with pytest.raises(UsageError, match=r"data\.root.*test/CLASS/"):
        load_data("image_folder", root=root, image_size=0, channels=0)


def test_parts_of_two_sizes_name_the_key(root: Path) -> None:
    put(root / "test" / "dog" / "z.png", 50, size=9)
    with pytest.raises(UsageError, match=r"data\.image_size"):
        load_data("image_folder", root=root, image_size=0, channels=0)
    assert load_data("image_folder", root=root, image_size=8, channels=0).test.image_shape == (1, 8, 8)
