"""Networks of 4 classes and 1 x 8 x 8 pixels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from fedgan.training.gan import Gan, build_gan
from fedgan.training.local import Optimisation


@pytest.fixture
def make_gan() -> Callable[..., Gan]:
    def build(seed: int = 0, name: str = "mlp", *, auxiliary: bool = False) -> Gan:
        return build_gan(
            name,
            latent_dim=4,
            width=8,
            num_classes=4,
            image_shape=(1, 8, 8),
            seed=seed,
            device=torch.device("cpu"),
            auxiliary=auxiliary,
        )

    return build


@pytest.fixture
def gan(make_gan: Callable[..., Gan]) -> Gan:
    return make_gan()


@pytest.fixture
def optimisation() -> Optimisation:
    return Optimisation(
        batch_size=8,
        generator_batch_size=6,
        discriminator_learning_rate=1e-2,
        generator_learning_rate=2e-2,
        beta1=0.5,
        beta2=0.9,
    )
