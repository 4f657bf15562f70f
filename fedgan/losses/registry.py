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


def gan_loss(name: str, *, penalty: str, penalty_weight: float, label_smoothing: float = 0.0) -> GanLoss:
    """Return the loss `name` with the named penalty; UsageError for a name that is not registered.

    Args:
        penalty: a name in `PENALTIES`; "none" adds nothing.
        penalty_weight: >= 0.
        label_smoothing: s in [0, 0.5): real images count as generated to this part, so that the discriminator does not
            grow sure of them (one-sided label smoothing, Salimans et al. 2016, arXiv:1606.03498, section 3.4).
    """
    loss = replace(LOSSES[name], penalty=PENALTIES[penalty], penalty_weight=penalty_weight)
    return replace(loss, real=_smoothed(loss, label_smoothing)) if label_smoothing else loss


def _smoothed(loss: GanLoss, part: float) -> LogitLoss:
    return lambda logits: (1 - part) * loss.real(logits) + part * loss.fake(logits)
