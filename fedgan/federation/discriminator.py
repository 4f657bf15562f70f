"""The private discriminator of a finished run, out of its last checkpoint.

It is computed from private releases alone, as the run's level and trust say, so showing it, or anything computed
from it, is post-processing of what the ledgers have been charged for.
"""

from __future__ import annotations

from torch import nn

from fedgan.config import Config, config_from_flat, flatten
from fedgan.errors import IntegrityError, UsageError
from fedgan.federation.card import read_card
from fedgan.federation.checkpoint import latest_checkpoint, load_network
from fedgan.models import build_discriminator
from fedgan.models.mixture import MeanDiscriminator
from fedgan.models.registry import ImageShape
from fedgan.runs import RunFolder


def load_discriminator(
    folder: RunFolder, config: Config, *, num_classes: int, image_shape: ImageShape
) -> tuple[nn.Module, int]:
    """Return the last discriminator of a finished run, frozen and on the CPU, and the rounds it was trained for.

    Of a fused generator it is the weighted mean of its parts' discriminators, and the rounds are the fewest of them.

    Args:
        folder: the run.
        config: the run's configuration, as `load_generator` returns it.
        num_classes: classes of the run's generator.
        image_shape: (channels, height, width) of the run's generator.

    Raises:
        UsageError: there is no checkpoint, or no round ever trained a discriminator.
        IntegrityError: the checkpoint is damaged, or of another run than the generator.
    """
    if folder.is_fused:
        return _mean_of_parts(folder, num_classes, image_shape)
    checkpoint = latest_checkpoint(folder.checkpoints)
    if checkpoint is None:
        raise UsageError(f"{folder.checkpoints} holds no checkpoint: the discriminator is in nothing else")
    module = build_discriminator(
        config.model.name,
        num_classes=num_classes,
        image_shape=image_shape,
        width=config.model.width,
        seed=0,
        auxiliary=config.loss.auxiliary_weight > 0,
    )
    facts = load_network(module, "discriminator", checkpoint)
    if facts["run"] != read_card(folder).get("run"):
        raise IntegrityError(f"{checkpoint}: of another run than {folder.card.name}")
    if facts["round"] == 0:
        raise UsageError(f"{folder.path} has a discriminator that no round has trained: there is nothing to explain")
    return module.eval().requires_grad_(False), facts["round"]


def _mean_of_parts(folder: RunFolder, num_classes: int, image_shape: ImageShape) -> tuple[nn.Module, int]:
    parts = read_card(folder)["parts"]
    found = [
        load_discriminator(
            RunFolder(folder.parts / f"{index:05d}"),
            config_from_flat(flatten(part["card"]["config"])),
            num_classes=num_classes,
            image_shape=image_shape,
        )
        for index, part in enumerate(parts)
    ]
    module = MeanDiscriminator([discriminator for discriminator, _ in found], [part["weight"] for part in parts])
    return module.eval().requires_grad_(False), min(rounds for _, rounds in found)
