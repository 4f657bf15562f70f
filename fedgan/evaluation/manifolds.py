"""Improved precision and recall (Kynkaanniemi et al. 2019, arXiv:1904.06991)."""

from __future__ import annotations

from dataclasses import dataclass

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.features import compared_features, drawn
from fedgan.seeding import derive_seed

NEIGHBOUR = 3
IMAGES = 5000


@dataclass(frozen=True)
class Overlap:
    """How much of each set of images lies within the other's manifold, both in [0, 1]."""

    precision: float
    recall: float


def overlap(synthetic: ImageDataset, test: ImageDataset, seed: int) -> Overlap:
    """Return the overlap of `synthetic` and `test` in the features of `compared_features` (the paper's equations 1, 2).

    A set's manifold is the union of balls around its features, each as large as the distance to the third nearest of
    the others; precision is the share of synthetic images in the test set's manifold, recall that of test images in
    the synthetic one's. More images make smaller balls, so equally many of both are taken, at most 5,000.

    Args:
        synthetic: at least 4 images.
        test: real, public images, at least 4, of at least two classes.
        seed: draws the images of the larger set.

    Raises:
        UsageError: the two sets do not fit each other or are too small.
    """
    # Imported on use: the registry imports every metric, also where the extra is not installed.
    from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

    made, real = compared_features(synthetic, test, at_least=NEIGHBOUR + 1)
    count = min(IMAGES, len(made), len(real))
    found = prc_features_to_metric(
        drawn(made, count, derive_seed(seed, "overlap", "synthetic")),
        drawn(real, count, derive_seed(seed, "overlap", "test")),
        prc_neighborhood=NEIGHBOUR,
        prc_batch_size=1000,
        save_cpu_ram=True,
        verbose=False,
    )
    return Overlap(found[KEY_METRIC_PRECISION], found[KEY_METRIC_RECALL])
