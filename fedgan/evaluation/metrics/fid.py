"""Frechet inception distance (Heusel et al. 2017, arXiv:1706.08500): on Inception's features with its real weights."""

from __future__ import annotations

from pathlib import Path

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.inception import find_weights, inception_features
from fedgan.evaluation.registry import METRICS, Metric, Scale, Score
from fedgan.evaluation.requirements import require_comparable


def fid_with(weights: Path) -> Score:
    """Return the metric that takes Inception's weights from the file `weights`."""

    def fid(synthetic: ImageDataset, test: ImageDataset, seed: int) -> float:
        """Return the FID >= 0 of all images of `synthetic` to all of `test`; `seed` is unused."""
        # Imported on use: the registry imports every metric, also where the extra is not installed.
        from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

        require_comparable(synthetic, test, at_least=2)
        statistics = [fid_features_to_statistics(inception_features(images, weights)) for images in (synthetic, test)]
        return max(0.0, float(fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]))

    return fid


def fid(synthetic: ImageDataset, test: ImageDataset, seed: int) -> float:
    """Return the FID with the weights that are in torch's cache or are downloaded; UsageError if there are none."""
    return fid_with(find_weights(None))(synthetic, test, seed)


METRICS.register("fid")(
    Metric(
        fid,
        Scale.DISTANCE,
        "Frechet distance to the test images on Inception's features, which were made for photographs",
        package="torch-fidelity",
        with_weights=fid_with,
    )
)
