"""scikit-learn's handwritten digits: real, tiny, and there without a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fedgan.data.dataset import DataSplit, ImageDataset
from fedgan.data.image_format import ImageFormat
from fedgan.data.registry import DATASETS, public

BRIGHTEST = 16
"""The largest value of a pixel in scikit-learn's scale."""


@DATASETS.register("digits")
@public
def digits(root: Path | None, image_format: ImageFormat) -> DataSplit:
    """Load 1,797 grey digits of 8x8 pixels in 10 classes; every fifth (index % 5 == 0) is a test record."""
    # Imported on use: the registry imports every source, and most runs need one.
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    pixels = np.rint(values * (255 / BRIGHTEST)).astype(np.uint8).reshape(-1, 1, 8, 8)
    images = image_format.apply(torch.from_numpy(pixels))
    return DataSplit.every_fifth(ImageDataset(images, torch.from_numpy(labels.astype(np.int64)), num_classes=10))
