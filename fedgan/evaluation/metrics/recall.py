"""Recall: the share of test images that the generator can make."""

from __future__ import annotations

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.manifolds import overlap
from fedgan.evaluation.registry import METRICS, Metric, Scale


def recall(synthetic: ImageDataset, test: ImageDataset, seed: int) -> float:
    """Return `overlap`'s recall in [0, 1]; arguments and errors are described there.

    Low where the generator leaves modes out, however good its images are.
    """
    return overlap(synthetic, test, seed).recall


METRICS.register("recall")(
    Metric(
        recall,
        Scale.SHARE,
        "share of test images within the generated images' manifold, on features of a classifier trained on the former",
        package="torch-fidelity",
    )
)
