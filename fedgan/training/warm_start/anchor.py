"""What holds generator steps to the target of the warm start."""

from __future__ import annotations

from torch import Tensor

from fedgan.training.steps import Anchor
from fedgan.training.warm_start.fit import embedding_loss
from fedgan.training.warm_start.rows import ClassFeatures


def anchor_to(means: Tensor, feature_map: ClassFeatures, weight: float) -> Anchor:
    """Return `weight` times the distance of generated images to `means`, up to a constant (see `embedding_loss`).

    Args:
        means: target means (num_classes, D), on the generator's device.
        feature_map: images (N, C, H, W) -> rows (N, D), there too.
        weight: of the distance, beside the generator's loss.
    """
    return lambda images, labels: weight * embedding_loss(feature_map(images), labels, means)
