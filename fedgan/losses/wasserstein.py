"""The Wasserstein loss (Arjovsky et al. 2017, arXiv:1701.07875, equation 2).

The critic's mean difference estimates the distance only while the critic is Lipschitz: bound its weights.
"""

from __future__ import annotations

from torch import Tensor

from fedgan.losses.registry import LOSSES, GanLoss


def _raise(logits: Tensor) -> Tensor:
    return -logits


def _lower(logits: Tensor) -> Tensor:
    return logits


LOSSES.register("wasserstein")(GanLoss(real=_raise, fake=_lower, generator=_raise))
