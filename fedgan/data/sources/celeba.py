"""CelebA faces, in torchvision's folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedgan.data.dataset import DataSplit, ImageDataset
from fedgan.data.image_files import read_images
from fedgan.data.image_format import ImageFormat
from fedgan.data.registry import DATASETS, public
from fedgan.data.roots import require_root, torchvision_errors

LAYOUT = "the folder that holds celeba/ with img_align_celeba/ (unpacked) and the five .txt files of CelebA"
OWN_SIZE = 64
ATTRIBUTE = "Male"


@DATASETS.register("celeba")
@public
def celeba(root: Path | None, image_format: ImageFormat) -> DataSplit:
    """Load 162,770 training and 19,962 test photographs of faces, 64 pixels a side unless another size is asked for.

    The label is the attribute Male (0 or 1), the owner is the person shown, and the images, 178x218 pixels, are
    cropped to their central square. At 64 pixels in colour the set takes 2.3 GB of memory.
    """
    root = require_root(root, LAYOUT)
    from torchvision.datasets import CelebA

    with torchvision_errors(root, LAYOUT):
        parts = [CelebA(root, split=split, target_type="attr", download=True) for split in ("train", "test")]
    folder = root / "celeba" / "img_align_celeba"
    train_part, test_part = (_dataset(part, folder, image_format.or_size(OWN_SIZE)) for part in parts)
    return DataSplit(train=train_part, test=test_part)


def _dataset(part: Any, folder: Path, image_format: ImageFormat) -> ImageDataset:
    images = read_images([(str(folder / name), folder / name) for name in part.filename], image_format)
    labels = part.attr[:, part.attr_names.index(ATTRIBUTE)].long()
    return ImageDataset(images, labels, num_classes=2, owners=part.identity[:, 0].long())
