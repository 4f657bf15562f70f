"""FedAvgM: the clients' changes with momentum (Hsu et al. 2019, arXiv:1909.06335, section 4.3)."""

from __future__ import annotations

from fedgan.federation.server_optimizers.base import SERVER_OPTIMIZERS, Constants, Vector


@SERVER_OPTIMIZERS.register("momentum")
def momentum(update: Vector, first: Vector, second: Vector, constants: Constants) -> tuple[Vector, Vector, Vector]:
    """Return eta m with m = beta1 m + update."""
    first = constants.beta1 * first + update
    return constants.learning_rate * first, first, second
