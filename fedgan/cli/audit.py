"""`fedgan audit`: what was spent, from the ledgers alone. No torch."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fedgan.audit.budget import audit_budget
from fedgan.cli.budget_table import print_budget
from fedgan.cli.console import format_epsilon, print_json, say, show
from fedgan.cli.lazy import commands_in_modules
from fedgan.cli.options import JsonOption
from fedgan.errors import IntegrityError

audit = typer.Typer(
    cls=commands_in_modules("attack", "statement"),
    help="Check privacy budgets without the data.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_OVER_LIMIT = 3


class Overlap(StrEnum):
    """Whether a person may have records at several clients."""

    none = "none"
    runs = "runs"
    sum = "sum"


@audit.callback()
def group() -> None:
    """Check privacy budgets without the data."""


@audit.command()
def budget(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Run folders, ledger folders or ledger files.")
    ],
    delta: Annotated[float | None, typer.Option(help="Delta of the report; default: the ledgers' own.")] = None,
    accountant: Annotated[str, typer.Option(help="pld, rdp or prv; all for each side by side.")] = "pld",
    limit: Annotated[float | None, typer.Option(metavar="EPS", help="Exit with 3 above this epsilon.")] = None,
    overlap: Annotated[
        Overlap,
        typer.Option(
            help="none: clients hold disjoint records; runs: a person may be at one of each run; sum: at all."
        ),
    ] = Overlap.none,
    as_json: JsonOption = False,
) -> None:
    """Recompute epsilon from the ledgers, per client and overall."""
    report = audit_budget(
        paths, delta=delta, accountant=accountant, limit=limit, overlap=overlap.value, workers=os.cpu_count() or 1
    )
    if as_json:
        print_json(report.to_dict())
    else:
        print_budget(report)
    if not report.within_limit:
        if not as_json:
            say(f"fedgan: over the limit: epsilon {format_epsilon(report.epsilon)} > {limit:g}")
        raise typer.Exit(_OVER_LIMIT)


@audit.command()
def verify(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Run folders, ledger folders or ledger files.")
    ],
    public_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|FOLDER", help="EC key that must have signed every ledger, or a folder of CLIENT.pub."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check every line of the ledgers, and a run's card and checkpoints against them."""
    from fedgan.audit.verify import verify as verify_paths

    report = verify_paths(paths, public_key=public_key, workers=os.cpu_count() or 1)
    if as_json:
        print_json(report.to_dict())
    else:
        lines = sum(ledger.lines for ledger in report.ledgers)
        for warning in report.warnings:
            say(f"warning: {warning}")
        for fault in report.faults[1:]:
            say(f"also: {fault}")
        show(f"{len(report.ledgers)} ledgers hold, {lines} lines")
        for key in sorted({signature["public_key"] for signature in report.signed}):
            count = sum(signature["public_key"] == key for signature in report.signed)
            show(f"{count} ledgers signed with {key}")
        if report.intact:
            for run in report.runs:
                show(f"{run}: card and checkpoints fit the weights and the ledgers")
    if not report.intact:
        raise IntegrityError(str(report.faults[0]))
