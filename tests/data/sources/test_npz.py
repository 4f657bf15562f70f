from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedgan.data import DataSplit, load_data
from fedgan.errors import UsageError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (10, 8, 8), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)
FLOAT = RNG.uniform(-1, 1, (10, 3, 8, 8)).astype(np.float32)
LABELS = np.arange(10) % 3


def load(tmp_path: Path, **arrays: Any) -> DataSplit:
    np.savez(tmp_path / "data.npz", **arrays)
    return load_data("npz", root=tmp_path / "data.npz", image_size=0, channels=0)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (GREY, GREY[:, None]),
        (GREY[..., None], GREY[:, None]),
        (COLOUR, COLOUR.transpose(0, 3, 1, 2)),
        (FLOAT, FLOAT),
    ],
)
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_a_file_as_in_medmnist(tmp_path: Path, images: Any, expected: Any, shape: Any, dtype: Any) -> None:
    labels = LABELS.astype(dtype).reshape(shape)
    split = load(
        tmp_path,
        train_images=images[:7],
        train_labels=labels[:7],
        val_images=images,
        val_labels=labels,
        test_images=images[7:],
        test_labels=labels[7:],
    )
    assert split.train.images.tolist() == expected[:7].tolist()
    assert split.test.images.tolist() == expected[7:].tolist()
    assert split.train.labels.tolist() == LABELS[:7].tolist()
    assert split.test.labels.tolist() == LABELS[7:].tolist()
    assert split.train.num_classes == 3


@pytest.mark.parametrize("prefix", ["", "train_"])
def test_without_a_test_part_every_fifth_record_is_held_out(tmp_path: Path, prefix: str) -> None:
    split = load(tmp_path, **{f"{prefix}images": FLOAT, f"{prefix}labels": LABELS})
    assert split.test.images.tolist() == FLOAT[[0, 5]].tolist()
    assert split.train.labels.tolist() == LABELS[[1, 2, 3, 4, 6, 7, 8, 9]].tolist()
    assert split.train.num_classes == split.test.num_classes == 3


def test_generated_images_with_a_test_part(tmp_path: Path) -> None:
    split = load(tmp_path, images=FLOAT, labels=LABELS, test_images=FLOAT[:2], test_labels=np.array([4, 0]))
    assert len(split.train) == 10
    assert split.test.images.tolist() == FLOAT[:2].tolist()
    # The largest label of both parts counts, so that both have the same classes.
    assert split.train.num_classes == split.test.num_classes == 5


def test_missing_labels_are_explained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.root.*train_labels.*class-conditional model needs labels"):
        load(tmp_path, train_images=GREY)
    with pytest.raises(UsageError, match=r"data\.root.*test_labels.*class-conditional model needs labels"):
        load(tmp_path, images=GREY, labels=LABELS, test_images=GREY)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": GREY}, "train_images"),
        ({"test_images": GREY, "test_labels": LABELS}, "train_images"),
        ({"images": GREY.astype(np.int64), "labels": LABELS}, "int64.*uint8"),
        ({"images": FLOAT.astype(np.float64), "labels": LABELS}, "float64.*float32"),
        ({"images": FLOAT * 2, "labels": LABELS}, r"outside \[-1, 1\]"),
        ({"images": np.full_like(FLOAT, np.nan), "labels": LABELS}, r"outside \[-1, 1\]"),
        ({"images": FLOAT[:, 0], "labels": LABELS}, "float32"),
        ({"images": FLOAT.transpose(0, 2, 3, 1), "labels": LABELS}, r"\(10, 8, 8, 3\).*\(N, C, H, W\)"),
        ({"images": GREY[0], "labels": LABELS}, r"\(N, H, W\)"),
        ({"images": GREY[:0], "labels": LABELS[:0]}, r"\(0, 8, 8\)"),
        ({"images": GREY, "labels": LABELS[:9]}, "10 images but 9 labels"),
        ({"images": GREY, "labels": LABELS - 1}, "integers from 0"),
        ({"images": GREY, "labels": LABELS.astype(float)}, "integers from 0"),
        ({"images": GREY, "labels": np.zeros((10, 14), int)}, "integers from 0"),
        ({"images": GREY[:1], "labels": LABELS[:1]}, "no training record"),
    ],
)
def test_arrays_out_of_contract_are_named(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=rf"data\.root.*{message}"):
        load(tmp_path, **arrays)


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    with pytest.raises(UsageError, match=r"data\.root.*pickle"):
        load(tmp_path, images=GREY, labels=np.array([Trap()] * 10, dtype=object))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 and then nothing"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(UsageError, match=r"data\.root.*data\.npz"):
        load_data("npz", root=tmp_path / "data.npz", image_size=0, channels=0)


def test_a_single_array_and_a_folder_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", GREY)
    for root in (tmp_path / "data.npy", tmp_path, tmp_path / "missing.npz"):
        with pytest.raises(UsageError, match=r"data\.root.*the \.npz file"):
            load_data("npz", root=root, image_size=0, channels=0)
