"""DP-FedAvg-GAN: clients train the discriminator, the server trains the generator.

Source: Augenstein et al. 2020, arXiv:1911.06679.

The generator goes out, so that clients can make generated rows, and never comes back: it learns at the server from the
averaged discriminator alone.
"""

from __future__ import annotations

from fedgan.federation.algorithms.base import ALGORITHMS, Algorithm, ClientRound, ServerRound
from fedgan.training.local import (
    GeneratorProgress,
    generator_steps_due,
    train_discriminator_steps,
    train_generator_steps,
)


def client_update(work: ClientRound) -> GeneratorProgress:
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
    return GeneratorProgress()


def server_update(work: ServerRound) -> GeneratorProgress:
    """Take the generator steps that this round's discriminator steps allow, and follow them with the average."""
    return train_generator_steps(
        work.gan,
        steps=generator_steps_due(work.first_step, work.steps, work.discriminator_steps),
        optimisation=work.optimisation,
        optimizer=work.optimizer,
        loss=work.loss,
        rng=work.rng,
        anchor=work.anchor,
        after_each=lambda: work.average.update(work.gan.generator, work.ema_decay),
    )


ALGORITHMS.register("dp_fedavg_gan")(
    Algorithm(
        sends=("generator", "discriminator"),
        returns=("discriminator",),
        client_update=client_update,
        server_update=server_update,
    )
)
