"""Labelled images in memory, in the two representations that the library knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedgan.errors import UsageError


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """N images of one shape, each with a label and, where the source knows it, the one who owns the record.

    Raises:
        ValueError: shapes, dtypes or ranges are not as below, or a length differs from N.
    """

    images: Tensor
    """(N, C, H, W), uint8 in [0, 255] or float32 in [-1, 1]."""
    labels: Tensor
    """(N,) int64 in [0, num_classes)."""
    num_classes: int
    owners: Tensor | None = None
    """(N,) int64: the natural client (person, writer, site) of each record; None where there is none."""

    def __post_init__(self) -> None:
        if self.images.ndim != 4:
            raise ValueError(f"images must be (N, C, H, W), not {tuple(self.images.shape)}")
        if self.images.dtype not in (torch.uint8, torch.float32):
            raise ValueError(f"images must be uint8 or float32, not {self.images.dtype}")
        # Written so that NaN is refused too.
        if self.images.dtype == torch.float32 and not bool(((self.images >= -1) & (self.images <= 1)).all()):
            raise ValueError("float32 images must lie in [-1, 1]")
        _check_index("labels", self.labels, len(self.images))
        if not bool(((self.labels >= 0) & (self.labels < self.num_classes)).all()):
            raise ValueError(f"labels must lie in [0, {self.num_classes})")
        if self.owners is not None:
            _check_index("owners", self.owners, len(self.images))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image, in pixels."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def subset(self, indices: Tensor | npt.NDArray[np.int64]) -> ImageDataset:
        """Return a copy of the records at `indices` (K,), in that order."""
        index = torch.as_tensor(indices)
        owners = None if self.owners is None else self.owners[index]
        return ImageDataset(self.images[index], self.labels[index], self.num_classes, owners)

    def to(self, device: torch.device) -> ImageDataset:
        """Return the records on `device`; self where they are there already."""
        if self.labels.device == device:
            return self
        owners = None if self.owners is None else self.owners.to(device)
        return ImageDataset(self.images.to(device), self.labels.to(device), self.num_classes, owners)

    def batch(self, indices: Tensor | npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return images (B, C, H, W) float32 in [-1, 1] and labels (B,) int64 of the records at `indices` (B,).

        A byte b becomes b / 127.5 - 1: the range is that of the format, so no statistic of the records enters.
        """
        index = torch.as_tensor(indices)
        images = self.images[index]
        if images.dtype == torch.uint8:
            images = images.to(torch.float32) / 127.5 - 1
        return images, self.labels[index]


@dataclass(frozen=True, eq=False)
class DataSplit:
    """Training records (private, spread over clients) and test records (public, for evaluation) of one shape.

    Raises:
        UsageError: the two parts differ in image shape, or there is no training record.
        ValueError: they differ in their number of classes.
    """

    train: ImageDataset
    test: ImageDataset

    def __post_init__(self) -> None:
        if self.train.image_shape != self.test.image_shape:
            raise UsageError(
                f"data.image_size: training images are (C, H, W) = {self.train.image_shape} but test images are "
                f"{self.test.image_shape}: set data.image_size and data.channels to make them alike"
            )
        if self.train.num_classes != self.test.num_classes:
            raise ValueError(f"{self.train.num_classes} classes to train on but {self.test.num_classes} to test on")
        if len(self.train) == 0:
            raise UsageError("data.root: there is no training record in it")

    @classmethod
    def hold_out(cls, dataset: ImageDataset, held_out: Tensor) -> DataSplit:
        """Return the split whose test part is the records where `held_out` (N,) bool is true."""
        return cls(
            train=dataset.subset(torch.nonzero(~held_out)[:, 0]), test=dataset.subset(torch.nonzero(held_out)[:, 0])
        )

    @classmethod
    def every_fifth(cls, dataset: ImageDataset) -> DataSplit:
        """Hold out the records with index % 5 == 0: the rule for sources without a test part."""
        return cls.hold_out(dataset, torch.arange(len(dataset)) % 5 == 0)


def _check_index(name: str, values: Tensor, length: int) -> None:
    if values.shape != (length,) or values.dtype != torch.int64:
        raise ValueError(f"{name} must be ({length},) int64, not {tuple(values.shape)} {values.dtype}")
