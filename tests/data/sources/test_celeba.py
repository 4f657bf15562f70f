from __future__ import annotations

from pathlib import Path

import pytest
import torchvision
from PIL import Image

from fedgan.data import load_data
from fedgan.errors import UsageError


def write(root: Path) -> None:
    """Six faces: three to train on, one of the validation part, two to test on."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{index:06d}.png" for index in range(6)]
    for index, name in enumerate(names):
        Image.new("RGB", (178, 218), (index * 10, 0, 0)).save(folder / "img_align_celeba" / name)
    rows = {
        "list_eval_partition.txt": ["0", "0", "1", "0", "2", "2"],
        "identity_CelebA.txt": ["7", "9", "9", "7", "8", "8"],
    }
    tables = {
        "list_bbox_celeba.txt": ("x y", ["1 2"] * 6),
        "list_landmarks_align_celeba.txt": ("x y", ["1 2"] * 6),
        "list_attr_celeba.txt": ("Bald Male Young", ["1 -1 1", "1 1 1", "1 1 1", "-1 -1 -1", "-1 1 -1", "1 -1 1"]),
    }
    for file, values in rows.items():
        (folder / file).write_text("".join(f"{name} {value}\n" for name, value in zip(names, values, strict=True)))
    for file, (header, values) in tables.items():
        lines = [f"{name} {value}\n" for name, value in zip(names, values, strict=True)]
        (folder / file).write_text(f"6\n{header}\n" + "".join(lines))


def test_label_is_male_and_owner_the_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.setattr(torchvision.datasets.CelebA, "_check_integrity", lambda self: True)
    split = load_data("celeba", root=tmp_path, image_size=0, channels=0)
    assert split.train.image_shape == (3, 64, 64)
    assert split.train.images[:, 0, 32, 32].tolist() == [0, 10, 30]
    assert split.train.labels.tolist() == [0, 1, 0]
    assert split.train.num_classes == 2
    assert split.train.owners is not None
    assert split.train.owners.tolist() == [7, 9, 7]
    assert split.test.images[:, 0, 32, 32].tolist() == [40, 50]
    assert split.test.labels.tolist() == [1, 0]
    assert load_data("celeba", root=tmp_path, image_size=32, channels=1).test.image_shape == (1, 32, 32)


def test_a_failed_download_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets.CelebA, "download", lambda self: None)
    with pytest.raises(UsageError, match=r"data\.root.*celeba/ with img_align_celeba/"):
        load_data("celeba", root=tmp_path, image_size=0, channels=0)
