"""No server optimiser: the networks become what the clients made of them."""

from fedgan.federation.server_optimizers.base import SERVER_OPTIMIZERS

SERVER_OPTIMIZERS.register("none")(None)
