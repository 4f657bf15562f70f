"""R1 (Mescheder et al. 2018, arXiv:1801.04406, equation 9): half the squared gradient norm at real images.

It keeps the discriminator flat around the data, without which training need not converge. The paper's weight is 10.
"""

from __future__ import annotations

from torch import Tensor

from fedgan.losses.penalty import PENALTIES, Penalty


def _half_square(norms: Tensor) -> Tensor:
    return 0.5 * norms**2


PENALTIES.register("r1")(Penalty(of_norm=_half_square, between=False))
