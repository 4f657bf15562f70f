"""Train on synthetic, test on real: a multilayer perceptron."""

from __future__ import annotations

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.network import build_mlp, fit_classifier, outputs
from fedgan.evaluation.registry import METRICS, Metric, Scale
from fedgan.evaluation.requirements import require_classes, require_comparable
from fedgan.seeding import derive_seed


def mlp(synthetic: ImageDataset, test: ImageDataset, seed: int) -> float:
    """Return the accuracy in [0, 1] on `test` of a perceptron with two hidden layers trained on `synthetic`.

    Protocol, arguments and errors are those of the metric `cnn`.
    """
    require_comparable(synthetic, test)
    require_classes(synthetic, "synthetic")
    device = synthetic.labels.device
    model = build_mlp(synthetic.image_shape, synthetic.num_classes, derive_seed(seed, "mlp", "weights")).to(device)
    fit_classifier(model, synthetic, seed=derive_seed(seed, "mlp", "order"))
    correct = outputs(model, test, device).argmax(dim=1) == test.labels.to(device)  # (N,)
    return int(correct.sum()) / len(test)


METRICS.register("mlp")(
    Metric(mlp, Scale.SHARE, "accuracy on the held-out test set of a perceptron trained on the generated images")
)
