"""FedAdam (Reddi et al. 2021, arXiv:2003.00295, algorithm 2)."""

from __future__ import annotations

from fedgan.federation.server_optimizers.base import SERVER_OPTIMIZERS, Constants, Vector, adaptive_step


@SERVER_OPTIMIZERS.register("adam")
def adam(update: Vector, first: Vector, second: Vector, constants: Constants) -> tuple[Vector, Vector, Vector]:
    """Take v = beta2 v + (1 - beta2) update^2; as in the source, moments are not corrected for their beginning."""
    second = constants.beta2 * second + (1 - constants.beta2) * update**2
    return adaptive_step(update, first, second, constants)
