"""FedAdagrad (Reddi et al. 2021, arXiv:2003.00295, algorithm 2)."""

from __future__ import annotations

from fedgan.federation.server_optimizers.base import SERVER_OPTIMIZERS, Constants, Vector, adaptive_step


@SERVER_OPTIMIZERS.register("adagrad")
def adagrad(update: Vector, first: Vector, second: Vector, constants: Constants) -> tuple[Vector, Vector, Vector]:
    """Take v = v + update^2."""
    return adaptive_step(update, first, second + update**2, constants)
