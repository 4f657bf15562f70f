"""CIFAR-10, by torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fedgan.data.dataset import DataSplit, ImageDataset
from fedgan.data.image_format import ImageFormat
from fedgan.data.registry import DATASETS, public
from fedgan.data.roots import require_root, torchvision_errors

LAYOUT = "the folder that holds cifar-10-batches-py/, unpacked from cifar-10-python.tar.gz"


@DATASETS.register("cifar10")
@public
def cifar10(root: Path | None, image_format: ImageFormat) -> DataSplit:
    """Load 60,000 colour photographs of 32x32 pixels in 10 classes, 10,000 of them the test set.

    The set is distributed as pickles. torchvision opens them only when their checksums are the published ones.
    """
    root = require_root(root, LAYOUT)
    from torchvision.datasets import CIFAR10

    with torchvision_errors(root, LAYOUT):
        parts = [CIFAR10(root, train=train, download=True) for train in (True, False)]
    train_part, test_part = (_dataset(part, image_format) for part in parts)
    return DataSplit(train=train_part, test=test_part)


def _dataset(part: Any, image_format: ImageFormat) -> ImageDataset:
    images = torch.from_numpy(part.data).permute(0, 3, 1, 2)
    return ImageDataset(image_format.apply(images), torch.tensor(part.targets, dtype=torch.int64), num_classes=10)
