"""Frechet distance on features of a classifier trained on the real training images: the tables' measure of fidelity.

`fedgan evaluate` takes features of a classifier trained on the public test set, since training records are private. In
a table of public benchmarks they are not, and a network that has never seen the test images is the better judge.
"""

from __future__ import annotations

from torch import nn

from fedgan.data import DataSplit, ImageDataset
from fedgan.data.digest import dataset_digest
from fedgan.evaluation.features import drawn
from fedgan.evaluation.network import build_cnn, fit_classifier, outputs

NAME = "frechet_distance_training_features"
EPOCHS = 3
IMAGES = 10_000

_NETWORKS: dict[bytes, nn.Sequential] = {}


def training_frechet(synthetic: ImageDataset, data: DataSplit) -> float:
    """Return the squared Frechet distance of at most 10,000 images of `synthetic` to as many test images.

    The features are the 128 of the last hidden layer of a 2-conv network, as they are; all runs on one data set get
    the same network, so their distances compare. They do not compare with other data sets', and it is no FID.
    """
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

    hidden, device = _network(data.train)[:-1], data.test.labels.device
    features = [outputs(hidden, images, device).double() for images in (synthetic, data.test)]
    statistics = [fid_features_to_statistics(drawn(rows, IMAGES, seed=0)) for rows in features]
    return max(0.0, float(fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]))


def _network(real: ImageDataset) -> nn.Sequential:
    """Return the classifier of `real`; the rows of one process train it once."""
    digest = dataset_digest(real)
    if digest not in _NETWORKS:
        model = build_cnn(real.image_shape, real.num_classes, seed=0)
        fit_classifier(model, real, epochs=EPOCHS, seed=0)
        _NETWORKS[digest] = model
    return _NETWORKS[digest]
