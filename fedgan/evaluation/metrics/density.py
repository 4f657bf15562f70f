"""Density: how densely synthetic images lie around real ones."""

from __future__ import annotations

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.neighbourhoods import support
from fedgan.evaluation.registry import METRICS, Metric, Scale


def density(synthetic: ImageDataset, test: ImageDataset, seed: int) -> float:
    """Return `support`'s density >= 0; arguments and errors are described there.

    About 1 for real images; images crowded into the densest parts have more.
    """
    return support(synthetic, test, seed).density


METRICS.register("density")(
    Metric(
        density,
        Scale.DENSITY,
        "how densely generated images lie around the test images, on features of a classifier trained on the latter",
    )
)
