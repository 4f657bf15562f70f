"""A row of several runs over the same records, whose generators `fedgan fuse` makes one of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedgan.audit.verify import verify
from fedgan.cli.app import main
from fedgan.config import Config
from fedgan.errors import FedganError, IntegrityError, UsageError
from fedgan.federation.card import read_card
from fedgan.runs import RunFolder
from simulations.results.origin import UNKNOWN
from simulations.results.trained import Cost, Trained, images_of, run_once


def ledgers_beside(output: Path) -> Path:
    """Return the folder of the ledgers that all parts of the fused generator in `output` charge."""
    return (output.parent / f"{output.name}-ledgers").absolute()


def train_fused(configs: Sequence[Config], output: Path) -> Trained:
    """Train each of `configs` beside `output` and fuse their generators there; what is there already is taken.

    What is promised is what the fused card says, once `fedgan audit verify` has held it against all parts' ledgers.

    Raises:
        UsageError: there is a run of another configuration, or a generator fused of other runs.
        IntegrityError: the fused generator, a part or a ledger was changed.
    """
    parts = [output.parent / f"{output.name}-part-{index}" for index in range(len(configs))]
    costs = [run_once(config, part) for config, part in zip(configs, parts, strict=True)]
    if not output.exists():
        _fuse(parts, output)
    fused = [part["card"] for part in read_card(RunFolder(output)).get("parts", ())]
    if fused != [read_card(RunFolder(part)) for part in parts]:
        raise UsageError(f"{output} holds a generator of other runs: delete it or give another --runs")
    return Trained(images_of(output), _together(costs), _promised(output))


def _fuse(parts: Sequence[Path], output: Path) -> None:
    try:
        main(["fuse", *map(str, parts), "--output", str(output)])
    except SystemExit as end:
        if end.code:
            raise FedganError(f"fedgan fuse ended with exit code {end.code}") from None


def _together(costs: Sequence[Cost]) -> Cost:
    """Return the cost of parts that were trained one after the other; they say where and when the last one was."""
    commits = {cost.commit for cost in costs}
    return replace(
        costs[-1],
        seconds=sum(cost.seconds for cost in costs),
        stopped="; ".join(cost.stopped for cost in costs if cost.stopped),
        commit=commits.pop() if len(commits) == 1 else UNKNOWN,
    )


def _promised(output: Path) -> dict[str, Any]:
    checked = verify([output])
    if not checked.intact:
        raise IntegrityError(str(checked.faults[0]))
    card = read_card(RunFolder(output))
    return {name: card[name] for name in ("level", "trust", "epsilon", "delta")}
