"""Kernel distance of synthetic and test images on features of a classifier trained here. It is no KID."""

from __future__ import annotations

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.features import compared_features
from fedgan.evaluation.registry import METRICS, Metric, Scale
from fedgan.seeding import derive_seed

SUBSETS = 100
SUBSET_SIZE = 1000


def kernel_distance(synthetic: ImageDataset, test: ImageDataset, seed: int) -> float:
    """Return an unbiased estimate of the squared maximum mean discrepancy with the kernel (x.y / D + 1)^3.

    The mean over 100 pairs of subsets of 1,000 features each (fewer where a set is smaller), without replacement
    (Binkowski et al. 2018, arXiv:1801.01401), on the D = 128 features of `compared_features` instead of
    Inception's. Unlike the Frechet distance it is not biased by few images; near 0 it can fall below it.

    Args:
        synthetic: at least 2 images.
        test: real, public images, at least 2, of at least two classes.
        seed: draws the subsets.

    Raises:
        UsageError: the two sets do not fit each other or are too small.
    """
    # Imported on use: the registry imports every metric, also where the extra is not installed.
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    made, real = compared_features(synthetic, test, at_least=2)
    found = kid_features_to_metric(
        made,
        real,
        kid_subsets=SUBSETS,
        kid_subset_size=min(SUBSET_SIZE, len(made), len(real)),
        kid_kernel="poly",
        kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None,  # 1 / D
        kid_kernel_poly_coef0=1,
        rng_seed=derive_seed(seed, "kernel distance") % 2**32,
        verbose=False,
    )
    return float(found[KEY_METRIC_KID_MEAN])


METRICS.register("kernel_distance")(
    Metric(
        kernel_distance,
        Scale.DISTANCE,
        "kernel distance to the test images on features of a classifier trained on them (not Inception: no KID)",
        package="torch-fidelity",
    )
)
