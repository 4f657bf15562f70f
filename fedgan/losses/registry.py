"""The registry of adversarial losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from fedgan.registry import Registry

LogitLoss: TypeAlias = Callable[[Tensor], Tensor]
"""Maps logits (N,) to losses (N,), element by element."""


@dataclass(frozen=True)
class GanLoss:
    """What discriminator and generator minimise, as functions of the discriminator's logits.

    Attributes:
        real: the discriminator's loss on real images.
        fake: the discriminator's loss on generated images.
        generator: the generator's loss on its images.
    """

    real: LogitLoss
    fake: LogitLoss
    generator: LogitLoss


LOSSES: Registry[GanLoss] = Registry("loss.name", "fedgan.losses")
