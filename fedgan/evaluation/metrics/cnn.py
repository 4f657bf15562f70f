"""Train on synthetic, test on real: a small convolutional network."""

from __future__ import annotations

from torch import Tensor

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.network import build_cnn, fit_classifier, outputs
from fedgan.evaluation.registry import METRICS, Metric, Scale
from fedgan.evaluation.requirements import require_classes, require_comparable
from fedgan.evaluation.shared import shared
from fedgan.seeding import derive_seed


def cnn(synthetic: ImageDataset, test: ImageDataset, seed: int) -> float:
    """Return the accuracy in [0, 1] on `test` of a 2-conv network trained on `synthetic`.

    The protocol is that of `fit_classifier`: nothing is tuned or stopped on the test set. On one CPU equal seeds give
    equal bits; the global random state is neither read nor moved. Of real data it reads the test set only, which is
    public.

    Args:
        synthetic: images to train on, at least two classes; the network runs on the device they are on.
        test: real, public images to test on.
        seed: seed of the initial weights and of the order of the images.

    Raises:
        UsageError: if the two sets do not fit each other or only one class was synthesised.
    """
    correct = cnn_predictions(synthetic, test, seed) == test.labels.to(synthetic.labels.device)  # (N,)
    return int(correct.sum()) / len(test)


@shared
def cnn_predictions(synthetic: ImageDataset, test: ImageDataset, seed: int) -> Tensor:
    """Return the classes (N,) int64 that the network of `cnn` sees in the images of `test`."""
    require_comparable(synthetic, test)
    require_classes(synthetic, "synthetic")
    device = synthetic.labels.device
    model = build_cnn(synthetic.image_shape, synthetic.num_classes, derive_seed(seed, "cnn", "weights")).to(device)
    fit_classifier(model, synthetic, seed=derive_seed(seed, "cnn", "order"))
    return outputs(model, test, device).argmax(dim=1)


METRICS.register("cnn")(
    Metric(cnn, Scale.SHARE, "accuracy on the held-out test set of a small CNN trained on the generated images")
)
