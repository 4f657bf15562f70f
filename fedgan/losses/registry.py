"""The registry of adversarial losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from torch import Tensor

from fedgan.losses.penalty import PENALTIES, Penalty
from fedgan.registry import Registry

LogitLoss: TypeAlias = Callable[[Tensor], Tensor]
"""Maps logits (N,) to losses (N,), element by element; with an auxiliary classifier, pairs (N, 2) that hold them."""


@dataclass(frozen=True)
class GanLoss:
    """What discriminator and generator minimise, as functions of the discriminator's logits.

    With `auxiliary_weight` > 0 the three losses are functions of pairs (N, 2): the logit, and the log-probability that
    an auxiliary classifier gives to the row's label.

    Attributes:
        real: the discriminator's loss on real images.
        fake: the discriminator's loss on generated images.
        generator: the generator's loss on its images.
        penalty: added to the discriminator's loss on real images with weight `penalty_weight`, or None.
        auxiliary_weight: of the cross-entropy of a row's class in each of the three losses.
    """

    real: LogitLoss
    fake: LogitLoss
    generator: LogitLoss
    penalty: Penalty | None = None
    penalty_weight: float = 0.0
    auxiliary_weight: float = 0.0


LOSSES: Registry[GanLoss] = Registry("loss.name", "fedgan.losses")


def gan_loss(
    name: str, *, penalty: str, penalty_weight: float, label_smoothing: float = 0.0, auxiliary_weight: float = 0.0
) -> GanLoss:
    """Return the loss `name` with the named penalty; UsageError for a name that is not registered.

    Args:
        penalty: a name in `PENALTIES`; "none" adds nothing.
        penalty_weight: >= 0.
        label_smoothing: s in [0, 0.5): real images count as generated to this part, so that the discriminator does not
            grow sure of them (one-sided label smoothing, Salimans et al. 2016, arXiv:1606.03498, section 3.4).
        auxiliary_weight: w >= 0. Each network also minimises w times the cross-entropy of the class, on real and on
            generated rows (AC-GAN, Odena et al. 2017, arXiv:1610.09585, equations 2 and 3); 0 for no such task.
    """
    loss = replace(LOSSES[name], penalty=PENALTIES[penalty], penalty_weight=penalty_weight)
    if label_smoothing:
        loss = replace(loss, real=_smoothed(loss, label_smoothing))
    return _with_classes(loss, auxiliary_weight) if auxiliary_weight else loss


def _smoothed(loss: GanLoss, part: float) -> LogitLoss:
    return lambda logits: (1 - part) * loss.real(logits) + part * loss.fake(logits)


def _with_classes(loss: GanLoss, weight: float) -> GanLoss:
    def joint(adversarial: LogitLoss) -> LogitLoss:
        return lambda pairs: adversarial(pairs[..., 0]) - weight * pairs[..., 1]

    real, fake, generator = joint(loss.real), joint(loss.fake), joint(loss.generator)
    return replace(loss, real=real, fake=fake, generator=generator, auxiliary_weight=weight)
