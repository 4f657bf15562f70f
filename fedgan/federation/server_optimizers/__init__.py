"""Server optimisers, one a file, chosen by `federation.server_optimizer`."""

from fedgan.federation.server_optimizers.base import SERVER_OPTIMIZERS, Constants
from fedgan.federation.server_optimizers.optimizer import ServerOptimizer

__all__ = ["SERVER_OPTIMIZERS", "Constants", "ServerOptimizer"]
