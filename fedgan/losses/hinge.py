"""The hinge loss (Lim & Ye 2017, arXiv:1705.02894).

Only logits short of the margin of 1 teach the discriminator.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import relu

from fedgan.losses.registry import LOSSES, GanLoss


def _real(logits: Tensor) -> Tensor:
    return relu(1.0 - logits)


def _fake(logits: Tensor) -> Tensor:
    return relu(1.0 + logits)


def _generator(logits: Tensor) -> Tensor:
    return -logits


LOSSES.register("hinge")(GanLoss(real=_real, fake=_fake, generator=_generator))
