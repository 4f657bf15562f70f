"""How a site trains, and what it takes from a request to train by; nothing in it is private."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from fedgan.federation.algorithms import Algorithm
from fedgan.federation.arrays import load_network, select
from fedgan.federation.requests import GENERATED, TARGET, Arrays, Refusal
from fedgan.losses import GanLoss
from fedgan.models import ImageShape
from fedgan.training.gan import Gan
from fedgan.training.local import Optimisation
from fedgan.training.steps import Anchor
from fedgan.training.stored import StoredGenerator
from fedgan.training.warm_start import ClassFeatures, anchor_to


@dataclass(frozen=True)
class LocalTraining:
    """How a site trains, none of it private; one object serves every vault of a process.

    What these take from a request's arrays raises Refusal where it does not fit.

    Attributes:
        algorithm: the client's side of the federated algorithm.
        gan: networks whose weights each request overwrites.
        local_steps: discriminator steps of a round, at most.
        anchor_features: the public feature map of the warm start, where generator steps are anchored to it.
        generated_images: how many come with a request, where the algorithm sends them in place of the generator.
    """

    algorithm: Algorithm
    gan: Gan
    local_steps: int
    optimisation: Optimisation
    loss: GanLoss
    anchor_weight: float
    anchor_features: ClassFeatures | None
    generated_images: int = 0

    def load(self, arrays: Arrays) -> None:
        """Overwrite the networks that the algorithm sends."""
        for name in self.algorithm.sends:
            try:
                load_network(name, self.gan.network(name), select(arrays, [name]))
            except (RuntimeError, TypeError):
                raise Refusal(Refusal.BAD_REQUEST) from None

    def gan_with(self, arrays: Arrays, image_shape: ImageShape, num_classes: int) -> Gan:
        """Return the networks, with the images in `arrays` in place of a generator that does not travel."""
        if not self.algorithm.sends_images:
            return self.gan
        images, shape = arrays.get(GENERATED), (self.generated_images, *image_shape)
        if images is None or images.dtype != np.float32 or images.shape != shape or not np.isfinite(images).all():
            raise Refusal(Refusal.BAD_REQUEST)
        stored = StoredGenerator(torch.from_numpy(images).to(self.gan.device), num_classes)
        return replace(self.gan, generator=stored)

    def anchor(self, arrays: Arrays, num_classes: int) -> Anchor | None:
        """Return what holds generator steps to the target in `arrays`; None where nothing does."""
        if self.anchor_features is None or TARGET not in arrays:
            return None
        array = arrays[TARGET]
        if array.dtype != np.float32 or array.shape != (num_classes, self.anchor_features.dimension):
            raise Refusal(Refusal.BAD_REQUEST)
        return anchor_to(torch.from_numpy(array).to(self.gan.device), self.anchor_features, self.anchor_weight)
