"""What two sets of images must have in common to be compared."""

from __future__ import annotations

from fedgan.data.dataset import ImageDataset
from fedgan.errors import UsageError


def require_comparable(synthetic: ImageDataset, test: ImageDataset, *, at_least: int = 1) -> None:
    """Raise UsageError unless both sets hold `at_least` images of one shape, with labels of the same classes."""
    if synthetic.image_shape != test.image_shape:
        raise UsageError(
            f"the synthetic images are of shape {synthetic.image_shape}, the test images of {test.image_shape}: "
            "evaluate with the data set that the generator was trained for"
        )
    if synthetic.num_classes != test.num_classes:
        raise UsageError(f"{synthetic.num_classes} synthetic classes cannot be tested on {test.num_classes} real ones")
    if min(len(synthetic), len(test)) < at_least:
        raise UsageError(f"{len(synthetic)} synthetic and {len(test)} test images: at least {at_least} of each needed")


def require_classes(images: ImageDataset, name: str) -> None:
    """Raise UsageError unless a classifier can learn from `images`; the error calls them the `name` images."""
    if images.labels.unique().numel() < 2:
        raise UsageError(f"the {name} images are all of one class: a classifier needs at least two to learn from")
