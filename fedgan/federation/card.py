"""The generator's card: what was promised about these weights, and where to check it."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from fedgan import __version__
from fedgan.audit.guarantee import NEIGHBOURS
from fedgan.config import Config, config_from_flat, flatten
from fedgan.errors import IntegrityError, UsageError, WriteError, one_line
from fedgan.federation.public_start import public_data_of
from fedgan.federation.server import Server
from fedgan.files import write_bytes, write_text
from fedgan.models import build_generator
from fedgan.models.mixture import MixtureGenerator
from fedgan.privacy.ledger_line import row_hash
from fedgan.runs import RunFolder


def save_generator(
    folder: RunFolder,
    server: Server,
    config: Config,
    *,
    epsilon: float | None,
    heads: dict[str, str],
    stopped: str,
    ledger_faults: dict[str, str],
) -> None:
    """Write the averaged generator and its card.

    Args:
        epsilon: what the ledgers say was spent by the client who spent most; None under level "none".
        heads: hash of the last line of every ledger.
        stopped: why the run ended before its last round, or "".
        ledger_faults: what was wrong with clients' ledgers at the end, where these stay at the sites.

    Raises:
        WriteError: the disk refuses; neither is there without the other then.
    """
    module = server.average.module
    content = save_tensors({name: tensor.contiguous() for name, tensor in module.state_dict().items()})
    write_bytes(folder.generator, content)
    private = config.privacy.level != "none"
    card = {
        "fedgan": __version__,
        "run": server.run,
        "rounds": server.round,
        "kept_round": server.early_stopping.best_round if server.early_stopping else server.round,
        "stopped": stopped,
        "level": config.privacy.level,
        "trust": config.privacy.trust if private else None,
        "neighbours": NEIGHBOURS[config.privacy.level] if private else None,
        "epsilon": epsilon,
        "delta": config.privacy.delta if private else None,
        "accountant": config.privacy.accountant if private else None,
        "image_shape": list(module.image_shape),  # type: ignore[arg-type]
        "num_classes": module.num_classes,
        "public_data": public_data_of(config),
        "ledger_heads": heads,
        "ledger_faults": ledger_faults,
        "sha256": sha256(content).hexdigest(),
        "config": config.model_dump(),
    }
    try:
        write_text(folder.card, json.dumps(card, indent=2) + "\n")
    except WriteError:  # weights are nothing without their card, and an older card is not theirs
        for path in (folder.card, folder.generator):
            path.unlink(missing_ok=True)
        raise


def read_card(folder: RunFolder) -> dict[str, Any]:
    """Return the card of a finished run.

    Raises:
        UsageError: the run has none (yet).
        IntegrityError: it is damaged.
    """
    if not folder.card.is_file():
        raise UsageError(f"{folder.path} holds no finished run: there is no {folder.card.name} in it")
    try:
        card = json.loads(folder.card.read_text(encoding="utf-8"))
        if not isinstance(card, dict) or "sha256" not in card or not isinstance(card.get("config"), dict):
            raise ValueError("not a generator's card")
        if "parts" in card and card.get("hash") != row_hash(card):
            raise ValueError("its hash does not match its content")
    except ValueError as error:
        raise IntegrityError(f"{folder.card}: damaged: {error}") from None
    return card


def load_generator(folder: RunFolder) -> tuple[nn.Module, Config]:
    """Return the generator of a finished run, in evaluation mode on the CPU, and the run's configuration.

    A fused generator comes with the configuration of its first part.

    Raises:
        UsageError: the run has no generator (yet).
        IntegrityError: weights or card are damaged, or do not belong together.
    """
    card = read_card(folder)
    try:
        content = folder.generator.read_bytes()
    except OSError as error:
        raise IntegrityError(f"{folder.generator}: {error.strerror}") from None
    if sha256(content).hexdigest() != card["sha256"]:
        raise IntegrityError(f"{folder.generator}: its SHA-256 is not the one that {folder.card.name} names")
    try:
        generator, config = _built(card)
        generator.load_state_dict(load_tensors(content))
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise IntegrityError(f"{folder.card}: damaged: {one_line(error)}") from None
    return generator.eval().requires_grad_(False).to(torch.device("cpu")), config


def _built(card: dict[str, Any]) -> tuple[nn.Module, Config]:
    """Return the generator that `card` describes, with weights still to be loaded, and its configuration."""
    if "parts" in card:
        parts = [_built(part["card"]) for part in card["parts"]]
        weights = [float(part["weight"]) for part in card["parts"]]
        return MixtureGenerator([generator for generator, _ in parts], weights), parts[0][1]
    config = config_from_flat(flatten(card["config"]))
    generator = build_generator(
        config.model.name,
        latent_dim=config.model.latent_dim,
        num_classes=card["num_classes"],
        image_shape=tuple(card["image_shape"]),
        width=config.model.width,
        seed=0,
    )
    return generator, config
