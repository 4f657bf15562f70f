from __future__ import annotations

from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
import torch
from PIL import Image

from fedgan.data import load_data
from fedgan.errors import UsageError

ALPHABETS = {"images_background_small1": ["Greek", "Korean"], "images_background_small2": ["Greek", "Latin"]}
CHARACTERS, DRAWERS = 6, 2


def drawing(drawer: int) -> bytes:
    """A white sheet with a black line whose height tells the drawer."""
    image = Image.new("1", (105, 105), 1)
    image.paste(0, (0, 20 * drawer, 105, 20 * drawer + 15))
    buffer = BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def files(name: str) -> dict[str, bytes]:
    return {
        f"{name}/{alphabet}/character{character:02d}/{character:04d}_{drawer:02d}.png": drawing(drawer)
        for alphabet in ALPHABETS[name]
        for character in range(1, CHARACTERS + 1)
        for drawer in range(1, DRAWERS + 1)
    }


def write(root: Path, packed: bool) -> None:
    for name in ALPHABETS:
        if packed:
            with ZipFile(root / f"{name}.zip", "w") as archive:
                for path, content in files(name).items():
                    archive.writestr(path, content)
                archive.writestr(f"__MACOSX/{name}/Greek/character01/._0001_01.png", b"")
        else:
            for path, content in files(name).items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(content)


@pytest.mark.parametrize("packed", [True, False])
def test_alphabets_are_classes_and_drawers_owners(tmp_path: Path, packed: bool) -> None:
    write(tmp_path, packed)
    split = load_data("omniglot", root=tmp_path, image_size=0, channels=0)
    # Greek is in both sets and counts once; of six drawings in a group the first and the sixth are test records.
    groups = [(label, owner) for label in range(3) for owner in range(DRAWERS)]
    for part, each in ((split.train, 4), (split.test, 2)):
        assert part.num_classes == 3
        assert part.image_shape == (1, 28, 28)
        assert part.owners is not None
        held = sorted(zip(part.labels.tolist(), part.owners.tolist(), strict=True))
        assert held == sorted(groups * each)


def test_ink_is_bright_and_stays_with_its_drawer(tmp_path: Path) -> None:
    write(tmp_path, packed=True)
    train = load_data("omniglot", root=tmp_path, image_size=0, channels=0).train
    assert train.owners is not None
    for image, owner in zip(train.images, train.owners.tolist(), strict=True):
        middle = (20 * (owner + 1) + 7) * 28 // 105
        assert image[0, middle].tolist() == [255] * 28
        assert image[0, -1].tolist() == [0] * 28


def test_packed_and_unpacked_give_the_same(tmp_path: Path) -> None:
    splits = []
    for packed in (True, False):
        root = tmp_path / str(packed)
        root.mkdir()
        write(root, packed)
        splits.append(load_data("omniglot", root=root, image_size=16, channels=3))
    for first, second in ((splits[0].train, splits[1].train), (splits[0].test, splits[1].test)):
        assert torch.equal(first.images, second.images)
        assert torch.equal(first.labels, second.labels)


def test_both_sets_are_needed(tmp_path: Path) -> None:
    write(tmp_path, packed=True)
    (tmp_path / "images_background_small2.zip").unlink()
    with pytest.raises(UsageError, match=r"data\.root.*images_background_small2"):
        load_data("omniglot", root=tmp_path, image_size=0, channels=0)


@pytest.mark.parametrize("name", ["images_background_small2/A/c/0001_21.png", "images_background_small2/A/c/one.png"])
def test_a_drawing_without_a_drawer_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path, packed=True)
    with ZipFile(tmp_path / "images_background_small2.zip", "a") as archive:
        archive.writestr(name, drawing(1))
    with pytest.raises(UsageError, match=rf"data\.root.*{Path(name).name}.*drawer"):
        load_data("omniglot", root=tmp_path, image_size=0, channels=0)


def test_damaged_archives_are_named(tmp_path: Path) -> None:
    write(tmp_path, packed=True)
    (tmp_path / "images_background_small1.zip").write_bytes(b"PK")
    with pytest.raises(UsageError, match=r"data\.root.*images_background_small1\.zip"):
        load_data("omniglot", root=tmp_path, image_size=0, channels=0)
