"""What an algorithm is: which networks move, and one plain function for each side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from fedgan.losses import GanLoss
from fedgan.models import ExponentialMovingAverage
from fedgan.registry import Registry
from fedgan.training.gan import Gan
from fedgan.training.local import Batches, GeneratorProgress, Optimisation
from fedgan.training.steps import Anchor, GradientRule


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
class ServerRound:
    """The server's work after a round's networks were averaged."""

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
        returns: networks that a client sends back and that are averaged.
        client_update: trains the returned networks in place.
        server_update: what the server does with the average; returns the generator's progress in this round.
    """

    sends: tuple[str, ...]
    returns: tuple[str, ...]
    client_update: Callable[[ClientRound], GeneratorProgress]
    server_update: Callable[[ServerRound], GeneratorProgress]


ALGORITHMS: Registry[Algorithm] = Registry("federation.algorithm", __package__)
