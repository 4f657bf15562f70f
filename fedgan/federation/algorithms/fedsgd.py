"""FedSGD: clients send one clipped gradient sum of the discriminator a round; everything else happens at the server.

Every client draws its own records at one common rate, so all clients together draw a Poisson sample of the union of
their records, and the sum of their sums is the clipped sum of central DP-SGD (Abadi et al. 2016, arXiv:1607.00133).
The server adds the gradient of generated rows, which are clipped as real ones are, and steps. Only the discriminator
goes out, and only gradients come back.
"""

from __future__ import annotations

from fedgan.federation.algorithms.base import ALGORITHMS, Algorithm, ClientResult, ClientRound
from fedgan.federation.algorithms.server_generator import train_generator_at_server
from fedgan.federation.arrays import gradient_arrays
from fedgan.training.objective import discriminator_gradient


def client_update(work: ClientRound) -> ClientResult:
    """Return the sum over one batch of real rows; an empty batch is one like any other."""
    images, labels = (part.to(work.gan.device) for part in work.batches())
    gradient = discriminator_gradient(
        work.gan, (images, labels), (images[:0], labels[:0]), loss=work.loss, gradient=work.gradient, rng=work.rng
    )
    return ClientResult(gradient_arrays(gradient))


ALGORITHMS.register("fedsgd")(
    Algorithm(
        sends=("discriminator",),
        returns=("discriminator",),
        releases="gradient_sum",
        client_update=client_update,
        server_update=train_generator_at_server,
    )
)
