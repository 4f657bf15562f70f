"""Pre-training on images that the operator calls public: it reads no private record, so it costs no budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fedgan.config import Config
from fedgan.data import DATASETS, ImageDataset, load_data
from fedgan.errors import UsageError, bad_value, unknown_name
from fedgan.models import ImageShape
from fedgan.training.gan import Gan
from fedgan.training.streams import stream
from fedgan.training.warm_start import EmbeddingTarget, embed, fit_generator, map_of

_FILES_OF_ONES_OWN = ("image_folder", "npz")
"""Sources that are whatever lies at their root; any other name is one data set, wherever it lies."""


def check_public_data(config: Config) -> None:
    """Raise UsageError where the public data have no source, or are the private ones.

    Private records that are fitted to as if they were public would be released without noise and without a charge.
    """
    name, private = config.training.public_data, config.data
    if not name:
        return
    if name not in DATASETS.names():
        raise unknown_name("training.public_data", name, DATASETS.names())
    if name != private.name:
        return
    ours, theirs = (Path(place).expanduser().resolve() for place in (_place(config), private.root))
    if name not in _FILES_OF_ONES_OWN or ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
        raise UsageError(
            f"training.public_data = {name!r} names the private data, data.name = {name!r} at {private.root!r}: give "
            "another source, or '' for none",
            "training.public_data",
        )


def pretrain(gan: Gan, config: Config) -> None:
    """Fit `gan`'s generator to the public images, in place; without `training.public_data` do nothing.

    Every class is fitted to the mean embedding of all of them (Harder et al. 2021, arXiv:2002.11603), as their labels
    mean something else than those of the private records. What is learnt so is what images look like at all; the
    clients' releases then say what is special about each class.

    Raises:
        UsageError: the images are not there, or not of one shape with the private ones.
    """
    training = config.training
    if not training.public_data:
        return
    classes = int(gan.generator.num_classes)  # type: ignore[arg-type]
    shape: ImageShape = gan.generator.image_shape  # type: ignore[assignment]
    images = _images(config, shape)
    feature_map = map_of(training.warm_start_family, shape, features=training.warm_start_features, seed=config.seed)
    feature_map = feature_map.to(gan.device)
    mean = embed(images, feature_map) / len(images)  # (1, dimension)
    target = EmbeddingTarget(mean.float().repeat(classes, 1), torch.full((classes,), float(len(images))), 0.0)
    fit_generator(
        gan.generator,
        target,
        feature_map,
        steps=training.public_steps,
        batch_size=training.warm_start_batch_size,
        learning_rate=training.warm_start_learning_rate,
        rng=stream(config.seed, "public data"),
    )


def public_data_of(config: Config) -> dict[str, Any] | None:
    """Return what a card says of the public data; None where there are none."""
    if not config.training.public_data:
        return None
    return {"name": config.training.public_data, "steps": config.training.public_steps}


def _images(config: Config, shape: ImageShape) -> ImageDataset:
    name, place = config.training.public_data, _place(config)
    channels, height, width = shape
    if height != width:
        raise bad_value("training.public_data", name, "'' for images that are not square")
    try:
        root = Path(place).expanduser() if place else None
        records = load_data(name, root=root, image_size=height, channels=channels).train
    except UsageError as error:
        raise UsageError(f"training.public_data = {name!r}, training.public_root = {place!r}: {error}") from error
    return ImageDataset(records.images, torch.zeros_like(records.labels), 1)


def _place(config: Config) -> str:
    return config.training.public_root or config.data.root
