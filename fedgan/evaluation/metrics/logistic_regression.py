"""Train on synthetic, test on real: logistic regression."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.registry import METRICS, Metric, Scale
from fedgan.evaluation.requirements import require_classes, require_comparable

MAX_ITERATIONS = 200


def logistic_regression(synthetic: ImageDataset, test: ImageDataset, seed: int) -> float:
    """Return the accuracy in [0, 1] on `test` of multinomial logistic regression trained on `synthetic`.

    The features are the pixels in [-1, 1]; L2 penalty with C = 1, at most 200 iterations of L-BFGS. Of real data it
    reads the test set only, which is public.

    Args:
        synthetic: images to train on, at least two classes.
        test: real, public images to test on.
        seed: unused, as the fit is convex and starts at zero; part of the signature all metrics share.

    Raises:
        UsageError: if the two sets do not fit each other or only one class was synthesised.
    """
    # Imported on use: the registry imports every metric, also to check a name.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    require_comparable(synthetic, test)
    require_classes(synthetic, "synthetic")
    pixels, labels = _table(synthetic)
    test_pixels, test_labels = _table(test)
    model = LogisticRegression(max_iter=MAX_ITERATIONS)
    with warnings.catch_warnings():
        # The iteration count is part of the protocol: separable images would otherwise be fitted for ever.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(pixels, labels)
    return float(np.mean(model.predict(test_pixels) == test_labels))


def _table(dataset: ImageDataset) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels (N, C*H*W) float32 in [-1, 1] and labels (N,)."""
    images, labels = dataset.batch(torch.arange(len(dataset)))
    return images.flatten(1).cpu().numpy(), labels.cpu().numpy()


METRICS.register("logistic_regression")(
    Metric(
        logistic_regression,
        Scale.SHARE,
        "accuracy on the held-out test set of logistic regression trained on the generated images",
    )
)
