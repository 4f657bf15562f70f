"""Images that no data set holds, as unlike the others as can be: a discriminator that memorises shows it on them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fedgan.data.dataset import ImageDataset


def canary_images(own: ImageDataset, public: ImageDataset, count: int, rng: np.random.Generator) -> ImageDataset:
    """Return `count` images in the representation of `own`: a single grey, random pixels, a wrong label, in turn.

    Labels are uniform over classes; a mislabelled image is one of `public` with any label but its own (where there is
    more than one class).
    """
    classes = own.num_classes
    shape = own.image_shape
    labels = torch.from_numpy(rng.integers(classes, size=count))
    images = torch.empty((count, *shape))
    for row in range(count):
        if row % 3 == 0:
            images[row] = rng.uniform(-1.0, 1.0)
        elif row % 3 == 1:
            images[row] = torch.from_numpy(rng.uniform(-1.0, 1.0, size=shape))
        else:
            picture, label = public.batch(rng.integers(len(public), size=1))
            images[row] = picture[0]
            labels[row] = (label[0] + int(rng.integers(1, max(2, classes)))) % classes
    return ImageDataset(_as(own.images.dtype, images), labels, classes)


def _as(dtype: torch.dtype, images: Tensor) -> Tensor:
    """Turn float images in [-1, 1] into `dtype`, which `ImageDataset` allows."""
    return ((images + 1) * 127.5).round().to(torch.uint8) if dtype == torch.uint8 else images.clamp(-1, 1)
