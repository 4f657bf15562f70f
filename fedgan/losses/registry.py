"""The registry of adversarial losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from torch import Tensor

from fedgan.losses.penalty import PENALTIES, Penalty
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
        penalty: added to the discriminator's loss on real images with weight `penalty_weight`, or None.
    """

    real: LogitLoss
    fake: LogitLoss
    generator: LogitLoss
    penalty: Penalty | None = None
    penalty_weight: float = 0.0


LOSSES: Registry[GanLoss] = Registry("loss.name", "fedgan.losses")


def gan_loss(name: str, *, penalty: str, penalty_weight: float) -> GanLoss:
    """Return the loss `name` with the named penalty; UsageError for a name that is not registered.

    Args:
        penalty: a name in `PENALTIES`; "none" adds nothing.
        penalty_weight: >= 0.
    """
    return replace(LOSSES[name], penalty=PENALTIES[penalty], penalty_weight=penalty_weight)
