"""`fedgan fuse`: several runs' generators as one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedgan.cli.console import format_epsilon, print_json, show
from fedgan.cli.options import JsonOption

if TYPE_CHECKING:
    from fedgan.federation.fusion import Fused


def fuse(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs, at least two.")],
    output: Annotated[Path, typer.Option(help="Folder of the fused generator; new or empty.")],
    weights: Annotated[
        str,
        typer.Option(help="How often each run is drawn from: uniform, records (their public number), or 0.7,0.3 ..."),
    ] = "uniform",
    as_json: JsonOption = False,
) -> None:
    """Make one generator of several: each image is drawn from one of them. No private record is read."""
    from fedgan.federation.fusion import fuse as fuse_runs

    fused = fuse_runs(runs, output, weights)
    if as_json:
        print_json(_document(fused, runs))
        return
    for run, weight in zip(runs, fused.weights, strict=True):
        show(f"{weight:.4f} of {run}")
    if (budget := fused.budget) is None:
        show("no privacy: a part of it promises none")
    else:
        if budget.notes:
            show(f"{budget.notes[0]}{f' (and so for {len(budget.notes) - 1} more)' if budget.notes[1:] else ''}")
        show(f"epsilon {format_epsilon(budget.epsilon)} at delta {budget.delta:g}, level {budget.level}: all parts")
    show(f"fused generator: {output}")


def _document(fused: Fused, runs: list[Path]) -> dict[str, object]:
    budget = fused.budget
    return {
        "run": str(fused.folder.path),
        "parts": [{"run": str(run), "weight": weight} for run, weight in zip(runs, fused.weights, strict=True)],
        "level": budget.level if budget else "none",
        "epsilon": budget.to_dict()["epsilon"] if budget else None,
        "delta": budget.delta if budget else None,
        "notes": list(budget.notes) if budget else [],
    }
