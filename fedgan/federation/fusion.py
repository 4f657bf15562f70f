"""Several runs' generators as one, with a card of its own: what `fedgan fuse` does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from shutil import copyfile, rmtree
from tempfile import mkdtemp
from typing import Any

from safetensors.torch import save as save_tensors
from torch import nn

from fedgan import __version__
from fedgan.audit.budget import BudgetReport, audit_budget
from fedgan.audit.guarantee import finite
from fedgan.audit.paths import ledger_files
from fedgan.audit.verify import verify
from fedgan.errors import IntegrityError, UsageError
from fedgan.federation.card import load_generator, read_card
from fedgan.federation.checkpoint import latest_checkpoint
from fedgan.federation.fusion_weights import weights_of
from fedgan.files import sync_folder, write_bytes, write_text
from fedgan.models.mixture import MixtureGenerator
from fedgan.privacy.ledger_line import seal
from fedgan.privacy.ledger_scan import scan_ledger
from fedgan.privacy.signature import signature_path
from fedgan.runs import RunFolder


@dataclass(frozen=True)
class Fused:
    """A fused generator.

    Attributes:
        folder: where it lies.
        weights: of its parts, in order.
        budget: what all parts together spent; None where a part promises nothing, and so the whole.
    """

    folder: RunFolder
    weights: tuple[float, ...]
    budget: BudgetReport | None


def fuse(runs: Sequence[Path], output: Path, weights: str) -> Fused:
    """Write one generator made of those of `runs`, each draw of which goes to one of them, to the folder `output`.

    No private record is read: parts and weights are computed from private releases, or public, so what it costs is
    what the parts cost. Runs on the same records compose, as `fedgan audit budget` over all of them says. The folder
    holds a copy of what that is computed from: each part's card, weights, ledgers and last checkpoint.

    Args:
        runs: finished runs, at least two, each named once.
        output: a folder that is not there yet, or empty.
        weights: see `weights_of`.

    Raises:
        UsageError: a run is not finished or does not fit the others, or a setting is not accepted.
        IntegrityError: a run's record does not hold.
    """
    folders = [RunFolder.of_run(run) for run in runs]
    if len(runs) < 2 or len({run.resolve() for run in runs}) < len(runs):
        raise UsageError("RUN...: give at least two runs, each of them once")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"--output {output}: there is something already; give a folder that is new or empty")
    generators = [load_generator(folder)[0] for folder in folders]
    _check_alike(runs, generators)
    checked = verify(runs)
    if not checked.intact:
        raise IntegrityError(str(checked.faults[0]))
    shares = weights_of(weights, runs)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(mkdtemp(dir=output.parent, prefix=f".{output.name}."))
        try:
            budget = _write(RunFolder(draft), folders, generators, shares)
            draft.chmod(0o755)
            draft.replace(output)
        except BaseException:
            rmtree(draft, ignore_errors=True)
            raise
        sync_folder(output.parent)
    except OSError as error:
        raise UsageError(f"--output {output}: cannot write there: {error.strerror}") from None
    return Fused(RunFolder(output), shares, budget)


def _check_alike(runs: Sequence[Path], generators: Sequence[nn.Module]) -> None:
    kinds = [(tuple(each.image_shape), each.num_classes) for each in generators]  # type: ignore[arg-type]
    for run, kind in zip(runs, kinds, strict=True):
        if kind != kinds[0]:
            raise UsageError(
                f"{run}: its images are (C, H, W) = {kind[0]} of {kind[1]} classes, those of {runs[0]} "
                f"{kinds[0][0]} of {kinds[0][1]} classes: parts of one generator have to be alike"
            )


def _write(
    target: RunFolder, folders: Sequence[RunFolder], generators: Sequence[nn.Module], weights: Sequence[float]
) -> BudgetReport | None:
    """Write everything of the fused generator below `target`, the card last, and return what its parts spent."""
    cards = [read_card(folder) for folder in folders]
    names = [f"{index:05d}" for index in range(len(folders))]
    for name, folder, card in zip(names, folders, cards, strict=True):
        _copy_part(folder, RunFolder(target.parts / name), card)
    module = MixtureGenerator(generators, weights)
    content = save_tensors({name: tensor.contiguous() for name, tensor in module.state_dict().items()})
    write_bytes(target.generator, content)
    private = all(card.get("level") != "none" for card in cards)
    budget = audit_budget([target.path]) if private else None
    facts = {
        "fedgan": __version__,
        **_guarantee(budget),
        "image_shape": list(module.image_shape),
        "num_classes": module.num_classes,
        "sha256": sha256(content).hexdigest(),
        "public_data": _public_data(cards),
        "parts": [
            {"folder": f"{target.parts.name}/{name}", "weight": weight, "card": card}
            for name, weight, card in zip(names, weights, cards, strict=True)
        ],
        "config": cards[0]["config"],
    }
    copyfile(folders[0].config, target.config)
    write_text(target.card, json.dumps(seal(facts), indent=2) + "\n")
    return budget


def _public_data(cards: Sequence[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Return what the parts' cards say of public data, each once; None where no part had any."""
    found = [card["public_data"] for card in cards if card.get("public_data")]
    return [one for index, one in enumerate(found) if one not in found[:index]] or None


def _guarantee(budget: BudgetReport | None) -> dict[str, Any]:
    """Return the card's fields about privacy: what `fedgan audit budget` says of all parts together."""
    if budget is None:
        nothing = dict.fromkeys(("trust", "neighbours", "epsilon", "delta", "accountant", "overlap"))
        return {"level": "none", **nothing, "ledger_heads": {}}
    return {
        "level": budget.level,
        "trust": budget.levels[0].trust,
        "neighbours": budget.levels[0].neighbours,
        "epsilon": finite(budget.epsilon),
        "delta": budget.delta,
        "accountant": budget.accountant,
        "overlap": budget.overlap,
        "ledger_heads": {client.client: client.head for client in budget.clients},
    }


def _copy_part(source: RunFolder, target: RunFolder, card: dict[str, Any]) -> None:
    """Copy what a part's guarantee is computed from; a ledger that goes on over runs as far as it has come."""
    target.path.mkdir(parents=True)
    files = [(source.config, target.config), (source.card, target.card), (source.generator, target.generator)]
    if checkpoint := latest_checkpoint(source.checkpoints):
        for file in (checkpoint, checkpoint.with_suffix(".safetensors")):
            files.append((file, target.checkpoints / file.name))
    clients = set(card["ledger_heads"])
    for ledger in ledger_files([source.path]) if clients else []:
        if next(iter(scan_ledger(ledger))).client in clients:
            for file in (ledger, signature_path(ledger)):
                files.append((file, target.ledgers / file.name))
    for file, copy in files:
        if file.is_file():
            write_bytes(copy, file.read_bytes())
