"""What a metric is and where metrics register; one file in `fedgan/evaluation/metrics/` adds one.

What a metric may read: the synthetic images, which are released already, and the test set, which is stated to be
public. Records that clients train on never reach a metric, so evaluating costs no privacy budget. That holds only
as long as the test set's people are not promised privacy themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from fedgan.data.dataset import ImageDataset
from fedgan.errors import UsageError
from fedgan.registry import Registry

Metric: TypeAlias = Callable[[ImageDataset, ImageDataset, int], float]
"""Called with (synthetic, test, seed); returns a number in [0, 1], and the same one for the same arguments."""

METRICS: Registry[Metric] = Registry("evaluation.metrics", "fedgan.evaluation.metrics")


def require_comparable(synthetic: ImageDataset, test: ImageDataset) -> None:
    """Raise UsageError unless a classifier trained on `synthetic` can be tested on `test`."""
    if synthetic.image_shape != test.image_shape:
        raise UsageError(
            f"the synthetic images are of shape {synthetic.image_shape}, the test images of {test.image_shape}: "
            "evaluate with the data set that the generator was trained for"
        )
    if synthetic.num_classes != test.num_classes:
        raise UsageError(f"{synthetic.num_classes} synthetic classes cannot be tested on {test.num_classes} real ones")
    if len(synthetic) == 0 or len(test) == 0:
        raise UsageError(f"{len(synthetic)} synthetic and {len(test)} test images: at least one of each is needed")
    if synthetic.labels.unique().numel() < 2:
        raise UsageError("the synthetic images are all of one class: a classifier needs at least two to learn from")
