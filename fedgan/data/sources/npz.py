"""One .npz file with arrays of images and labels."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedgan.data.dataset import DataSplit, ImageDataset
from fedgan.data.image_format import ImageFormat
from fedgan.data.registry import DATASETS
from fedgan.data.roots import missing, require_root
from fedgan.errors import UsageError

LAYOUT = (
    "the .npz file, with train_images and train_labels (or images and labels) and, where there is a test part, "
    "test_images and test_labels"
)
IMAGES = "uint8 (N, H, W) or (N, H, W, C), or float32 (N, C, H, W) in [-1, 1], with C 1 or 3"

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]


@DATASETS.register("npz")
def npz(root: Path | None, image_format: ImageFormat) -> DataSplit:
    """Load the file `root`, laid out as in MedMNIST or as written by `fedgan generate`.

    Images are uint8 (N, H, W) or (N, H, W, C), or float32 (N, C, H, W) in [-1, 1]; labels are integers (N,) or (N, 1)
    from 0 on, and there are as many classes as the largest label says. Without a test part every fifth record
    (index % 5 == 0) is a test record. A validation part is not used.
    """
    root = require_root(root, LAYOUT)
    if not root.is_file():
        raise missing(root, LAYOUT)
    arrays = _read(root)
    prefix = "train_" if "train_images" in arrays else ""
    train_images, train_labels = _part(root, arrays, prefix, image_format)
    if "test_images" not in arrays:
        return DataSplit.every_fifth(ImageDataset(train_images, train_labels, _classes(train_labels)))
    test_images, test_labels = _part(root, arrays, "test_", image_format)
    num_classes = _classes(torch.cat([train_labels, test_labels]))
    return DataSplit(
        train=ImageDataset(train_images, train_labels, num_classes),
        test=ImageDataset(test_images, test_labels, num_classes),
    )


def _read(path: Path) -> Arrays:
    wanted = ("images", "labels", "train_images", "train_labels", "test_images", "test_labels")
    try:
        # Pickled arrays could run code as they are loaded.
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.lib.npyio.NpzFile):
            with file:
                return {name: file[name] for name in wanted if name in file}
    except (OSError, EOFError, ValueError, BadZipFile, zlib.error) as error:
        raise UsageError(f"data.root: {path} cannot be read as .npz without pickles: {error}") from error
    raise missing(path, LAYOUT)


def _part(path: Path, arrays: Arrays, prefix: str, image_format: ImageFormat) -> tuple[Tensor, Tensor]:
    """Return the images (N, C, H, W), in the format, and the labels (N,) of one part of the file."""
    if f"{prefix}images" not in arrays:
        raise missing(path, LAYOUT)
    if f"{prefix}labels" not in arrays:
        raise UsageError(
            f"data.root: {path} has no array {prefix}labels, and a class-conditional model needs labels: "
            f"add it as integers (N,), all 0 for a single class"
        )
    images = _images(path, f"{prefix}images", arrays[f"{prefix}images"])
    labels = _labels(path, f"{prefix}labels", arrays[f"{prefix}labels"])
    if len(images) != len(labels):
        raise UsageError(f"data.root: {path} has {len(images)} {prefix}images but {len(labels)} {prefix}labels")
    return image_format.apply(images), labels


def _images(path: Path, name: str, array: npt.NDArray[Any]) -> Tensor:
    images = array
    if array.dtype == np.uint8 and array.ndim == 3:
        images = array[:, None]
    elif array.dtype == np.uint8 and array.ndim == 4:
        images = array.transpose(0, 3, 1, 2)
    known = images.ndim == 4 and images.shape[1] in (1, 3) and images.size > 0
    if not known or images.dtype not in (np.uint8, np.float32):
        raise UsageError(f"data.root: {name} in {path} is {array.dtype} {array.shape}: give {IMAGES}")
    if images.dtype == np.float32 and not np.all((images >= -1) & (images <= 1)):
        raise UsageError(f"data.root: {name} in {path} has values outside [-1, 1]: give {IMAGES}")
    return torch.from_numpy(np.ascontiguousarray(images))


def _labels(path: Path, name: str, array: npt.NDArray[Any]) -> Tensor:
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "iu" or (array < 0).any():
        raise UsageError(f"data.root: {name} in {path} must be integers from 0 on, of shape (N,) or (N, 1)")
    return torch.from_numpy(array.astype(np.int64))


def _classes(labels: Tensor) -> int:
    return int(labels.max()) + 1
