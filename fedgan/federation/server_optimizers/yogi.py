"""FedYogi (Reddi et al. 2021, arXiv:2003.00295, algorithm 2)."""

from __future__ import annotations

import numpy as np

from fedgan.federation.server_optimizers.base import SERVER_OPTIMIZERS, Constants, Vector, adaptive_step


@SERVER_OPTIMIZERS.register("yogi")
def yogi(update: Vector, first: Vector, second: Vector, constants: Constants) -> tuple[Vector, Vector, Vector]:
    """Take v = v - (1 - beta2) update^2 sign(v - update^2), which changes by no more than the update says."""
    square = update**2
    second = second - (1 - constants.beta2) * square * np.sign(second - square)
    return adaptive_step(update, first, second, constants)
