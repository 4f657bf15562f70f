"""Generator steps at the server, for algorithms whose clients only train or help to train the discriminator."""

from __future__ import annotations

from fedgan.federation.algorithms.base import ServerRound
from fedgan.training.local import GeneratorProgress, generator_steps_due, train_generator_steps


def train_generator_at_server(work: ServerRound) -> GeneratorProgress:
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
