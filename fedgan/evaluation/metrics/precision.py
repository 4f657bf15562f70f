"""Precision: the share of synthetic images that look like test images."""

from __future__ import annotations

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.manifolds import overlap
from fedgan.evaluation.registry import METRICS, Metric, Scale


def precision(synthetic: ImageDataset, test: ImageDataset, seed: int) -> float:
    """Return `overlap`'s precision in [0, 1]; arguments and errors are described there.

    Low where images are broken; mode collapse leaves it high.
    """
    return overlap(synthetic, test, seed).precision


METRICS.register("precision")(
    Metric(
        precision,
        Scale.SHARE,
        "share of generated images within the test images' manifold, on features of a classifier trained on the latter",
        package="torch-fidelity",
    )
)
