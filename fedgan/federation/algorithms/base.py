"""What an algorithm is: which networks move, and one plain function for each side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch

from fedgan.federation.requests import Arrays
from fedgan.losses import GanLoss
from fedgan.models import ExponentialMovingAverage
from fedgan.registry import Registry
from fedgan.training.gan import Gan
from fedgan.training.local import Batches, GeneratorProgress, Optimisation
from fedgan.training.rules import GradientRule
from fedgan.training.steps import Anchor


@dataclass(frozen=True)
class ClientRound:
    """One client's work in a round; the networks are the ones the server sent."""

    gan: Gan
    batches: Batches
    gradient: GradientRule
    steps: int
    first_step: int
    discriminator_steps: int
    optimisation: Optimisation
    loss: GanLoss
    rng: torch.Generator
    anchor: Anchor | None


@dataclass(frozen=True)
class ClientResult:
    """What a client's work came to: arrays to send back, and how its generator steps went."""

    arrays: Arrays = field(repr=False)
    progress: GeneratorProgress = field(default_factory=GeneratorProgress)


@dataclass(frozen=True)
class ServerRound:
    """The server's work after a round's releases have moved the networks."""

    gan: Gan
    average: ExponentialMovingAverage
    ema_decay: float
    optimizer: torch.optim.Optimizer
    steps: int
    first_step: int
    discriminator_steps: int
    optimisation: Optimisation
    loss: GanLoss
    rng: torch.Generator
    anchor: Anchor | None
    clients: GeneratorProgress


@dataclass(frozen=True)
class Algorithm:
    """A federated GAN algorithm.

    Attributes:
        sends: networks that a client receives.
        returns: networks that a client moves.
        releases: what comes back: the moved networks, or the sum of the discriminator's gradients of one batch.
        client_update: a client's work.
        server_update: what the server does once the networks have moved; returns the generator's progress.
        sends_images: whether a client receives generated images in place of the generator.
    """

    sends: tuple[str, ...]
    returns: tuple[str, ...]
    releases: Literal["networks", "gradient_sum"]
    client_update: Callable[[ClientRound], ClientResult]
    server_update: Callable[[ServerRound], GeneratorProgress]
    sends_images: bool = False


ALGORITHMS: Registry[Algorithm] = Registry("federation.algorithm", __package__)
