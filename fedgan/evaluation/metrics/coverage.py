"""Coverage: the share of test images that have a synthetic image nearby."""

from __future__ import annotations

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.neighbourhoods import support
from fedgan.evaluation.registry import METRICS, Metric, Scale


def coverage(synthetic: ImageDataset, test: ImageDataset, seed: int) -> float:
    """Return `support`'s coverage in [0, 1]; arguments and errors are described there.

    Low where parts of the data are missing, as with mode collapse.
    """
    return support(synthetic, test, seed).coverage


METRICS.register("coverage")(
    Metric(
        coverage,
        Scale.SHARE,
        "share of test images with a generated one nearby, on features of a classifier trained on the former",
    )
)
