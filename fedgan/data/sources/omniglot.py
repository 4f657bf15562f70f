"""Omniglot's two small background sets: letters of eight alphabets, each drawn by twenty people."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TypeAlias
from zipfile import BadZipFile, ZipFile

import torch

from fedgan.data.dataset import DataSplit, ImageDataset
from fedgan.data.image_files import read_images
from fedgan.data.image_format import ImageFormat
from fedgan.data.registry import DATASETS, public
from fedgan.data.roots import missing, require_root
from fedgan.errors import UsageError

SETS = ("images_background_small1", "images_background_small2")
LAYOUT = f"the folder that holds {SETS[0]} and {SETS[1]}, each as .zip or unpacked (github.com/brendenlake/omniglot)"
OWN_SIZE = 28
DRAWING = re.compile(r"\d+_(\d+)\.png")
DRAWERS = 20

Name: TypeAlias = tuple[str, str, str]
"""(alphabet, character, file name), the last as NNNN_DD.png with DD the drawer."""


@DATASETS.register("omniglot")
@public
def omniglot(root: Path | None, image_format: ImageFormat) -> DataSplit:
    """Load 4,840 drawings, bright ink on a dark ground, 28 pixels a side unless another size is asked for.

    The class is the alphabet and the owner the drawer's number less one, 0 to 19. The two sets share 1,000 drawings,
    which count once. Every alphabet was given to twenty people of its own, so an owner stands for a group of up to
    eight people.

    Of the drawings of one drawer in one alphabet, sorted by character and file name, every fifth (from the first on)
    is a test record.
    """
    drawings = _find(require_root(root, LAYOUT))
    names = sorted(drawings)
    alphabets = sorted({alphabet for alphabet, _, _ in names})
    images = read_images([("/".join(name), drawings[name]) for name in names], image_format.or_size(OWN_SIZE))
    labels = torch.tensor([alphabets.index(alphabet) for alphabet, _, _ in names])
    owners = torch.tensor([_drawer(name) for name in names])
    dataset = ImageDataset(255 - images, labels, num_classes=len(alphabets), owners=owners)
    groups = list(zip(owners.tolist(), labels.tolist(), strict=True))
    return DataSplit.hold_out(dataset, torch.tensor(_every_fifth_of_a_group(groups)))


def _find(root: Path) -> dict[Name, Path | bytes]:
    """Return where each drawing is, or its content where it is packed; a drawing in both sets is found once."""
    drawings: dict[Name, Path | bytes] = {}
    for name in SETS:
        folder, archive = root / name, root / f"{name}.zip"
        if folder.is_dir():
            drawings |= {_name(PurePosixPath(path)): path for path in folder.glob("*/*/*.png")}
        elif archive.is_file():
            drawings |= _unpack(archive)
        else:
            raise missing(root, LAYOUT)
    if not drawings:
        raise missing(root, LAYOUT)
    return drawings


def _unpack(archive: Path) -> dict[Name, Path | bytes]:
    try:
        with ZipFile(archive) as file:
            names = [name for name in file.namelist() if name.startswith(SETS) and name.endswith(".png")]
            return {_name(PurePosixPath(name)): file.read(name) for name in names}
    except (OSError, BadZipFile) as error:
        raise UsageError(f"data.root: {archive} cannot be read: {error}") from error


def _name(path: PurePosixPath) -> Name:
    alphabet, character, file = path.parts[-3:]
    return alphabet, character, file


def _drawer(name: Name) -> int:
    match = DRAWING.fullmatch(name[2])
    if match is None or not 1 <= int(match[1]) <= DRAWERS:
        raise UsageError(f"data.root: {'/'.join(name)} is not named NNNN_DD.png with a drawer DD from 01 to {DRAWERS}")
    return int(match[1]) - 1


def _every_fifth_of_a_group(groups: list[tuple[int, int]]) -> list[bool]:
    """Return for each record whether it is the first, sixth, eleventh ... of its group."""
    seen: Counter[tuple[int, int]] = Counter()
    held_out = []
    for group in groups:
        held_out.append(seen[group] % 5 == 0)
        seen[group] += 1
    return held_out
