"""Least squares (Mao et al. 2017, arXiv:1611.04076, equation 9): targets 1 for real and 0 for generated images.

The logit itself is regressed, without a sigmoid; the factor 1/2 is the paper's.
"""

from __future__ import annotations

from torch import Tensor

from fedgan.losses.registry import LOSSES, GanLoss


def _towards_one(logits: Tensor) -> Tensor:
    return 0.5 * (logits - 1.0) ** 2


def _towards_zero(logits: Tensor) -> Tensor:
    return 0.5 * logits**2


LOSSES.register("least_squares")(GanLoss(real=_towards_one, fake=_towards_zero, generator=_towards_one))
