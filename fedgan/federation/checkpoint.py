"""A run's state after each round, in safetensors and JSON only: nothing that is loaded can run code.

All randomness is derived from the seed and the round's number, so the round is the state of every public stream, and
privacy noise has no state to save.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from fedgan.errors import IntegrityError, one_line
from fedgan.federation.reports import RoundReport
from fedgan.federation.server import Server
from fedgan.federation.tensors import adam_state, load_adam_state, part_of, parted
from fedgan.files import write_bytes, write_text
from fedgan.privacy.ledger_line import row_hash, seal
from fedgan.training.ladder import Ladder

_KEPT = 3
_FACTS = {
    "version",
    "run",
    "round",
    "ladder",
    "augmentation_chance",
    "target_noise_std",
    "unfitted",
    "ledger_heads",
    "sha256",
    "hash",
}


def save_checkpoint(server: Server, folder: Path, heads: dict[str, str]) -> Path:
    """Write the state of `server` and the ledgers' `heads`; return the .json, without which a checkpoint is none.

    A file of each pair is never replaced once both are there, so a crash cannot damage a checkpoint.
    """
    stem = folder / _name(server)
    content = save_tensors({name: tensor.contiguous() for name, tensor in _tensors(server).items()})
    write_bytes(stem.with_suffix(".safetensors"), content)
    facts = {
        "version": 1,
        "run": server.run,
        "round": server.round,
        "ladder": asdict(server.ladder),
        "augmentation_chance": server.augmentation.value,
        "target_noise_std": server.target.noise_std if server.target else None,
        "unfitted": asdict(server.unfitted) if server.unfitted else None,
        "ledger_heads": heads,
        "sha256": sha256(content).hexdigest(),
    }
    card = stem.with_suffix(".json")
    write_text(card, json.dumps(seal(facts), indent=2) + "\n")
    for old in _in_order(folder)[:-_KEPT]:
        old.unlink()
        old.with_suffix(".safetensors").unlink(missing_ok=True)
    return card


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the .json of the last state that was saved, or None."""
    return next(reversed(_in_order(folder)), None)


def read_facts(card: Path) -> dict[str, Any]:
    """Return the facts in a checkpoint's `card`; raises IntegrityError if it is damaged."""
    try:
        facts = json.loads(card.read_text(encoding="utf-8"))
        if not isinstance(facts, dict) or facts.keys() != _FACTS or facts["version"] != 1:
            raise ValueError("not the facts of a checkpoint")
        if facts["hash"] != row_hash(facts):
            raise ValueError("its hash does not match its content")
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{card}: damaged checkpoint: {error}") from None
    return facts


def load_checkpoint(server: Server, card: Path) -> dict[str, str]:
    """Put `server` into the state saved beside `card` and return the ledgers' heads of that moment.

    Raises:
        IntegrityError: a file is missing, damaged, or does not fit the networks of `server`.
    """
    facts = read_facts(card)
    weights = card.with_suffix(".safetensors")
    try:
        tensors = _read_tensors(weights, facts["sha256"])
        server.gan.generator.load_state_dict(part_of(tensors, "generator"))
        server.gan.discriminator.load_state_dict(part_of(tensors, "discriminator"))
        server.average.load_state_dict(part_of(tensors, "average"))
        load_adam_state(server.generator_optimizer, part_of(tensors, "optimizer"))
        server.step.load_state(part_of(tensors, "step"))
        server.beginning.load_state(tensors, facts["target_noise_std"])
        if server.early_stopping is not None:
            server.early_stopping.load_state(part_of(tensors, "early_stopping"))
        server.ladder = Ladder(**{**facts["ladder"], "rungs": tuple(facts["ladder"]["rungs"])})
        server.augmentation = replace(server.augmentation, value=float(facts["augmentation_chance"]))
        server.beginning.unfitted = RoundReport(**facts["unfitted"]) if facts["unfitted"] else None
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise _damaged(weights, error) from None
    server.run = facts["run"]
    server.round = facts["round"]
    return dict(facts["ledger_heads"])


def load_network(module: nn.Module, part: str, card: Path) -> dict[str, Any]:
    """Put `module` into the state of one network saved beside `card` and return the checkpoint's facts.

    Args:
        module: a network of the family and size that the run has.
        part: "generator", "discriminator", or "average", the averaged generator.
        card: the .json of a checkpoint.

    Raises:
        IntegrityError: a file is missing, damaged, or does not fit `module`.
    """
    facts = read_facts(card)
    weights = card.with_suffix(".safetensors")
    try:
        module.load_state_dict(part_of(_read_tensors(weights, facts["sha256"]), part))
    except (OSError, ValueError, RuntimeError) as error:
        raise _damaged(weights, error) from None
    return facts


def _read_tensors(weights: Path, digest: str) -> dict[str, Tensor]:
    """Return the tensors in `weights` by "part/name"; raises ValueError if the file is not the one with `digest`."""
    content = weights.read_bytes()
    if sha256(content).hexdigest() != digest:
        raise ValueError(f"its SHA-256 is not the {digest[:12]}... that {weights.with_suffix('.json').name} names")
    return load_tensors(content)


def _damaged(weights: Path, error: Exception) -> IntegrityError:
    return IntegrityError(f"{weights}: damaged checkpoint: {one_line(error)}")


def _name(server: Server) -> str:
    if not server.warm_start_pending:
        return f"round-{server.round:05d}"
    if (done := server.beginning.steps) > 0 and server.embeddings_pending:
        return f"begun-{done:02d}"  # between "begin" and "embedding", in the order of names
    return "embedding" if server.unfitted else "begin"


def _in_order(folder: Path) -> list[Path]:
    """Return the checkpoints, the oldest first, which is also the order of their names."""
    return sorted(folder.glob("*.json"))


def _tensors(server: Server) -> dict[str, Tensor]:
    parts = {
        "generator": server.gan.generator.state_dict(),
        "discriminator": server.gan.discriminator.state_dict(),
        "average": server.average.state_dict(),
        "optimizer": adam_state(server.generator_optimizer),
        "step": server.step.state(),
        "early_stopping": server.early_stopping.state() if server.early_stopping else {},
    }
    kept = {name: tensor for part, tensors in parts.items() for name, tensor in parted(part, tensors).items()}
    return {**kept, **server.beginning.state()}
