"""Image files in one folder a class."""

from __future__ import annotations

from pathlib import Path

import torch

from fedgan.data.dataset import DataSplit, ImageDataset
from fedgan.data.image_files import read_images
from fedgan.data.image_format import ImageFormat
from fedgan.data.registry import DATASETS
from fedgan.data.roots import missing, require_root

LAYOUT = "the folder that holds train/CLASS/ and test/CLASS/ with image files (.png, .jpg, ...)"
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@DATASETS.register("image_folder")
def image_folder(root: Path | None, image_format: ImageFormat) -> DataSplit:
    """Load ROOT/train/CLASS/* and ROOT/test/CLASS/*.

    The classes are the folders in ROOT/train, sorted by name, and may be empty. Names that start with a dot and files
    of other kinds than images are passed over.
    """
    root = require_root(root, LAYOUT)
    if not (root / "train").is_dir() or not (root / "test").is_dir():
        raise missing(root, LAYOUT)
    classes = _folders(root / "train")
    if unknown := sorted(set(_folders(root / "test")) - set(classes)):
        raise missing(root, f"a folder train/{unknown[0]}/ beside test/{unknown[0]}/ (the classes are those of train/)")
    return DataSplit(
        train=_dataset(root / "train", classes, image_format), test=_dataset(root / "test", classes, image_format)
    )


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _dataset(folder: Path, classes: list[str], image_format: ImageFormat) -> ImageDataset:
    files: list[tuple[str, Path | bytes]] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        # A class may have no test images, and then no folder.
        for path in sorted((folder / name).glob("*")):
            if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                files.append((str(path), path))
                labels.append(label)
    if not files:
        raise missing(folder, "at least one image file in CLASS/")
    return ImageDataset(read_images(files, image_format), torch.tensor(labels), num_classes=len(classes))
