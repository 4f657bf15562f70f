"""The table of `fedgan audit budget` and the sentences below it."""

from __future__ import annotations

import math

from fedgan.audit.budget_report import Bound, BudgetReport, ClientBudget
from fedgan.cli.console import format_epsilon, new_table, show, stdout


def print_budget(report: BudgetReport) -> None:
    """Print what each client spent, what all did, and what that means."""
    mixed = len({(client.level, client.trust) for client in report.clients}) > 1
    kinds = ("level", "trust") if mixed else ()
    names = list(report.accountants or ())
    heads = () if names else ("ledger head",)  # they would not fit beside each other
    table = new_table("client", "records", "charges", *kinds, *(names or ["epsilon"]), "delta", *heads)
    for client in report.clients:
        table.add_row(
            client.client,
            str(client.records),
            str(client.charges),
            *(getattr(client, kind) for kind in kinds),
            *_epsilons(client, names),
            f"{client.delta:g}",
            *(client.head[:12] for _ in heads),
        )
    table.add_section()
    records = str(sum(client.records for client in report.clients))
    charges = str(sum(client.charges for client in report.clients))
    whole = (report.level, report.levels[0].trust) if mixed else ()
    table.add_row("all", records, charges, *whole, *_epsilons(report, names), f"{report.delta:g}", *("" for _ in heads))
    stdout.print(table)
    _explain(report)


def _epsilons(row: ClientBudget | BudgetReport, names: list[str]) -> list[str]:
    """Return the cells of one row: epsilon, or one for each accountant."""
    if row.accountants is None:
        return [format_epsilon(row.epsilon)]
    return [_cell(row.accountants[name]) for name in names]


def _cell(bound: Bound) -> str:
    if bound.epsilon is None:
        return "unknown"
    if bound.low is None or bound.high is None:
        return format_epsilon(bound.epsilon)
    return f"{math.floor(bound.low * 1000) / 1000:.3f}-{format_epsilon(bound.high)}"


def _explain(report: BudgetReport) -> None:
    for level in report.levels:
        show(
            f"{level.level} level: epsilon {format_epsilon(level.epsilon)} hides {level.protected}, from "
            f"{level.adversary} ({level.neighbours}; accountant {report.accountant})"
        )
    if len(report.levels) > 1:
        show("both levels were charged: a charge at client level counts at record level with half its noise, unsampled")
    for adversary in report.adversaries or ():
        show(f"seen by {adversary.who}: {adversary.sees}: epsilon {format_epsilon(adversary.epsilon)}")
    for note in report.notes:
        show(f"note: {note}")
    if report.overlap == "sum":
        show("Epsilons and deltas of all clients are added up.")
    elif report.overlap == "runs":
        show("A person may be at one client of each run: the runs' largest epsilons are added up, and their deltas.")
    else:
        show(
            "Clients hold disjoint records, so the largest epsilon holds for all; a person with records at several "
            "clients adds theirs up (--overlap sum)."
        )
