"""Frechet distance of synthetic and test images on features of a classifier trained here. It is no FID."""

from __future__ import annotations

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.features import compared_features
from fedgan.evaluation.registry import METRICS, Metric, Scale


def frechet_distance(synthetic: ImageDataset, test: ImageDataset, seed: int) -> float:
    """Return the squared Frechet distance >= 0 of two Gaussians with the features' means and covariances.

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) (Dowson and Landau 1982; for images Heusel et al. 2017,
    arXiv:1706.08500, equation 6), on the features of `compared_features` instead of Inception's. Few images bias it
    upwards: compare values of equal counts.

    Args:
        synthetic: at least 2 images.
        test: real, public images, at least 2, of at least two classes.
        seed: unused, as all images are taken; part of the signature all metrics share.

    Raises:
        UsageError: the two sets do not fit each other or are too small.
    """
    # Imported on use: the registry imports every metric, also where the extra is not installed.
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

    statistics = [fid_features_to_statistics(rows) for rows in compared_features(synthetic, test, at_least=2)]
    distance: float = fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]
    return max(0.0, distance)  # a square, which rounding alone can bring below 0


METRICS.register("frechet_distance")(
    Metric(
        frechet_distance,
        Scale.DISTANCE,
        "Frechet distance to the test images on features of a classifier trained on them (not Inception: no FID)",
        package="torch-fidelity",
    )
)
