"""The gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028, equation 3): norms of 1 between real and generated.

A critic that tells two distributions apart best has gradients of norm 1 on the lines between them (proposition 1
there). The paper's weight is 10.
"""

from __future__ import annotations

from torch import Tensor

from fedgan.losses.penalty import PENALTIES, Penalty


def _squared_distance_from_one(norms: Tensor) -> Tensor:
    return (norms - 1.0) ** 2


PENALTIES.register("gradient_penalty")(Penalty(of_norm=_squared_distance_from_one, between=True))
