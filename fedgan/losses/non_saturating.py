"""The original GAN loss with the generator's non-saturating form (Goodfellow et al. 2014, arXiv:1406.2661, section 3).

With D(x) = sigmoid(logit), equation 1 gives the discriminator -log D(x) on real and -log(1 - D(x)) on generated images;
the generator minimises -log D(x) instead of log(1 - D(x)), whose gradient fades where the discriminator wins.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from fedgan.losses.registry import LOSSES, GanLoss


def _called_real(logits: Tensor) -> Tensor:
    return softplus(-logits)  # -log sigmoid(logit), without overflow


def _called_fake(logits: Tensor) -> Tensor:
    return softplus(logits)  # -log(1 - sigmoid(logit))


LOSSES.register("non_saturating")(GanLoss(real=_called_real, fake=_called_fake, generator=_called_real))
