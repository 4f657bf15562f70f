"""`fedgan audit`: what was spent, from the ledgers alone. No torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from fedgan.audit.budget import BudgetReport, audit_budget
from fedgan.audit.guarantee import ADVERSARIES, NEIGHBOURS, PROTECTED
from fedgan.cli.console import format_epsilon, new_table, print_json, say, show, stdout
from fedgan.cli.options import JsonOption
from fedgan.errors import IntegrityError

audit = typer.Typer(help="Check privacy budgets without the data.", no_args_is_help=True, rich_markup_mode=None)

_OVER_LIMIT = 3


@audit.callback()
def group() -> None:
    """Check privacy budgets without the data."""


@audit.command()
def budget(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Run folders, ledger folders or ledger files.")
    ],
    delta: Annotated[float | None, typer.Option(help="Delta of the report; default: the ledgers' own.")] = None,
    accountant: Annotated[str, typer.Option(help="pld, rdp or prv.")] = "pld",
    limit: Annotated[float | None, typer.Option(metavar="EPS", help="Exit with 3 above this epsilon.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute epsilon from the ledgers, per client and overall."""
    report = audit_budget(paths, delta=delta, accountant=accountant, limit=limit, workers=os.cpu_count() or 1)
    if as_json:
        print_json(report.to_dict())
    else:
        _print(report)
    if not report.within_limit:
        if not as_json:
            say(f"fedgan: over the limit: epsilon {format_epsilon(report.epsilon)} > {limit:g}")
        raise typer.Exit(_OVER_LIMIT)


@audit.command()
def verify(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Run folders, ledger folders or ledger files.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Check every line of the ledgers, and a run's card and checkpoints against them."""
    from fedgan.audit.verify import verify as verify_paths

    report = verify_paths(paths, workers=os.cpu_count() or 1)
    if as_json:
        print_json(report.to_dict())
    else:
        lines = sum(ledger.lines for ledger in report.ledgers)
        for warning in report.warnings:
            say(f"warning: {warning}")
        for fault in report.faults[1:]:
            say(f"also: {fault}")
        show(f"{len(report.ledgers)} ledgers hold, {lines} lines")
        if report.intact:
            for run in report.runs:
                show(f"{run}: card and checkpoints fit the weights and the ledgers")
    if not report.intact:
        raise IntegrityError(str(report.faults[0]))


def _print(report: BudgetReport) -> None:
    mixed = len({(client.level, client.trust) for client in report.clients}) > 1
    kinds = ("level", "trust") if mixed else ()
    table = new_table("client", "records", "charges", *kinds, "epsilon", "delta", "ledger head")
    for client in report.clients:
        table.add_row(
            client.client,
            str(client.records),
            str(client.charges),
            *(getattr(client, kind) for kind in kinds),
            format_epsilon(client.epsilon),
            f"{client.delta:g}",
            client.head[:12],
        )
    table.add_section()
    records = str(sum(client.records for client in report.clients))
    charges = str(sum(client.charges for client in report.clients))
    whole = (report.level, report.levels[0].trust) if mixed else ()
    table.add_row("all", records, charges, *whole, format_epsilon(report.epsilon), f"{report.delta:g}", "")
    stdout.print(table)
    for level in report.levels:
        show(
            f"{level.level} level: epsilon {format_epsilon(level.epsilon)} hides {PROTECTED[level.level]}, from "
            f"{ADVERSARIES[level.trust]} ({NEIGHBOURS[level.level]}; accountant {report.accountant})"
        )
    if len(report.levels) > 1:
        show("both levels were charged: a charge at client level counts at record level with half its noise, unsampled")
    show(
        "Clients hold disjoint records, so the largest epsilon holds for all; a person with records at several "
        "clients adds theirs up."
    )
