"""MNIST and Fashion-MNIST, in torchvision's folders.

The IDX files are read here, packed or not, so that a folder that cannot be written works as it is; torchvision is
called only to download what is missing.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from fedgan.data.dataset import DataSplit, ImageDataset
from fedgan.data.idx import find_idx, read_idx
from fedgan.data.image_format import ImageFormat
from fedgan.data.registry import DATASETS, public
from fedgan.data.roots import missing, require_root, torchvision_errors
from fedgan.errors import UsageError

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
NUM_CLASSES = 10


@DATASETS.register("mnist")
@public
def mnist(root: Path | None, image_format: ImageFormat) -> DataSplit:
    """Load 70,000 grey handwritten digits of 28x28 pixels in 10 classes, 10,000 of them the test set."""
    return _load("MNIST", root, image_format)


@DATASETS.register("fashion_mnist")
@public
def fashion_mnist(root: Path | None, image_format: ImageFormat) -> DataSplit:
    """Load 70,000 grey pictures of clothes of 28x28 pixels in 10 classes, 10,000 of them the test set."""
    return _load("FashionMNIST", root, image_format)


def _load(class_name: str, root: Path | None, image_format: ImageFormat) -> DataSplit:
    layout = f"the folder that holds {class_name}/raw/ with {', '.join(f'{name}[.gz]' for name in FILES)}"
    root = require_root(root, layout)
    raw = root / class_name / "raw"
    if any(find_idx(raw, name) is None for name in FILES):
        _download(class_name, root, layout)
    tensors: list[Tensor] = []
    for name in FILES:
        path = find_idx(raw, name)
        if path is None:
            raise missing(root, layout)
        tensors.append(read_idx(path, 3 if "images" in name else 1))
    train_images, train_labels, test_images, test_labels = tensors
    return DataSplit(
        train=_dataset(raw, train_images, train_labels, image_format),
        test=_dataset(raw, test_images, test_labels, image_format),
    )


def _download(class_name: str, root: Path, layout: str) -> None:
    from torchvision import datasets

    with torchvision_errors(root, layout):
        getattr(datasets, class_name)(root, download=True)


def _dataset(raw: Path, images: Tensor, labels: Tensor, image_format: ImageFormat) -> ImageDataset:
    if len(images) != len(labels) or bool((labels >= NUM_CLASSES).any()):
        raise UsageError(f"data.root: {raw} is damaged: its labels do not match its images")
    return ImageDataset(image_format.apply(images[:, None]), labels.long(), NUM_CLASSES)
