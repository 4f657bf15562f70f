"""Features in which synthetic and real images are compared: those of a classifier trained here, on the test set.

They suit the data where Inception's, made for photographs of ImageNet, would not, and they need no download. A distance
on them is no FID, and distances on the features of different test sets do not compare. One test set always gives the
same network, whatever the seed of a run, so that runs do compare.

Even fresh real images keep a small distance: the network has learnt the test images and not those, and classes may be
more or less frequent among them. Only the public test set is read, so no privacy budget is spent.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.network import build_cnn, fit_classifier, outputs
from fedgan.evaluation.requirements import require_classes, require_comparable
from fedgan.evaluation.shared import shared
from fedgan.seeding import derive_seed

_SEED = 0


def compared_features(synthetic: ImageDataset, test: ImageDataset, *, at_least: int) -> tuple[Tensor, Tensor]:
    """Return features (N, 128) of `synthetic` and (M, 128) of `test`, float64 and >= 0, on the CPU.

    They are the last hidden layer of a 2-conv classifier, divided by one number such that the mean square of all
    features of the test set is 1, since how far training drives their size has no meaning.

    Args:
        synthetic: at least `at_least` images, of any classes.
        test: at least `at_least` images of at least two classes; the network runs on the device they are on.

    Raises:
        UsageError: the two sets do not fit each other or are too small.
    """
    require_comparable(synthetic, test, at_least=at_least)
    require_classes(test, "test")
    return _features(synthetic, test)


@shared
def _features(synthetic: ImageDataset, test: ImageDataset) -> tuple[Tensor, Tensor]:
    model, device = real_classifier(test), test.labels.device
    hidden = model[:-1]
    made, real = (outputs(hidden, data, device).cpu().double() for data in (synthetic, test))
    size = real.square().mean().sqrt()
    return made / size, real / size


@shared
def real_classifier(test: ImageDataset) -> nn.Sequential:
    """Return a 2-conv classifier trained on `test`, frozen; its layers but the last give the features.

    Args:
        test: real, public images of at least two classes; the network is on the device they are on.
    """
    weights, order = (derive_seed(_SEED, "features of the test set", stream) for stream in ("weights", "order"))
    model = build_cnn(test.image_shape, test.num_classes, weights).to(test.labels.device)
    fit_classifier(model, test, seed=order)
    return model.requires_grad_(False)


def drawn(features: Tensor, count: int, seed: int) -> Tensor:
    """Return `count` of the rows of `features` (N, D), drawn without replacement; (count, D)."""
    return features[torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))[:count]]
