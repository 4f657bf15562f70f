"""FedGAN: every client trains both networks, both are averaged (Rasouli et al. 2020, arXiv:2006.07228)."""

from __future__ import annotations

from fedgan.federation.algorithms.base import ALGORITHMS, Algorithm, ClientResult, ClientRound, ServerRound
from fedgan.federation.arrays import networks_of
from fedgan.training.local import GeneratorProgress, train_alternating


def client_update(work: ClientRound) -> ClientResult:
    """Alternate discriminator and generator steps; the generator learns from the private discriminator alone."""
    progress = train_alternating(
        work.gan,
        work.batches,
        steps=work.steps,
        first_step=work.first_step,
        discriminator_steps=work.discriminator_steps,
        optimisation=work.optimisation,
        loss=work.loss,
        gradient=work.gradient,
        rng=work.rng,
        anchor=work.anchor,
    )
    return ClientResult(networks_of(work.gan, ("generator", "discriminator")), progress)


def server_update(work: ServerRound) -> GeneratorProgress:
    """Follow the averaged generator, which already moved at the clients, as far as their steps would have."""
    work.average.update(work.gan.generator, work.ema_decay**work.clients.steps)
    return work.clients


ALGORITHMS.register("fedgan")(
    Algorithm(
        sends=("generator", "discriminator"),
        returns=("generator", "discriminator"),
        releases="networks",
        client_update=client_update,
        server_update=server_update,
    )
)
