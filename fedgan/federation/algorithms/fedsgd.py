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


def client_update(work: ClientRound) -> ClientResult:
    """Return the sum over one batch of real rows; an empty batch is one like any other."""
    images, labels = work.batches()
    rows = (images.to(work.gan.device), labels.to(work.gan.device))
    return ClientResult(gradient_arrays(work.gradient(work.gan.discriminator, rows, work.loss.real)))


ALGORITHMS.register("fedsgd")(
    Algorithm(
        sends=("discriminator",),
        returns=("discriminator",),
        releases="gradient_sum",
        client_update=client_update,
        server_update=train_generator_at_server,
    )
)
