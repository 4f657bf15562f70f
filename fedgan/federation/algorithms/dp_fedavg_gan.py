"""DP-FedAvg-GAN: clients train the discriminator, the server trains the generator.

Source: Augenstein et al. 2020, arXiv:1911.06679.

The generator never travels: it learns at the server from the averaged discriminator alone. Clients receive images that
it made, a number of them fixed in public, and draw the generated rows of their steps among these.
"""

from __future__ import annotations

from fedgan.federation.algorithms.base import ALGORITHMS, Algorithm, ClientResult, ClientRound
from fedgan.federation.algorithms.server_generator import train_generator_at_server
from fedgan.federation.arrays import networks_of
from fedgan.training.local import train_discriminator_steps


def client_update(work: ClientRound) -> ClientResult:
    """Take discriminator steps only."""
    train_discriminator_steps(
        work.gan,
        work.batches,
        steps=work.steps,
        optimisation=work.optimisation,
        loss=work.loss,
        gradient=work.gradient,
        rng=work.rng,
    )
    return ClientResult(networks_of(work.gan, ("discriminator",)))


ALGORITHMS.register("dp_fedavg_gan")(
    Algorithm(
        sends=("discriminator",),
        returns=("discriminator",),
        releases="networks",
        client_update=client_update,
        server_update=train_generator_at_server,
        sends_images=True,
    )
)
