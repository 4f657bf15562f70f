"""What the ledgers at some paths say was spent: the computation behind `fedgan audit budget`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fedgan.audit.budget_report import Bound, BudgetReport, ClientBudget
from fedgan.audit.guarantee import LevelBudget, adversaries
from fedgan.audit.holders import Holder, holders_of
from fedgan.audit.parallel import each
from fedgan.audit.paths import ledger_files, parts_of, run_folders
from fedgan.audit.summary import Charge, LedgerSummary, cost, events_of, levels_of, read_summary, trust_of
from fedgan.errors import UsageError, bad_value
from fedgan.privacy.accountant import ACCOUNTANTS
from fedgan.privacy.accounting import check_delta, epsilon_interval

__all__ = ["BudgetReport", "audit_budget"]

ALL = "all"  # instead of one accountant's name
REPORTED = "pld"  # the one whose bound counts then: the tightest that is never too low
OVERLAPS = ("none", "runs", "sum")


def audit_budget(
    paths: Sequence[Path],
    *,
    delta: float | None = None,
    accountant: str = REPORTED,
    limit: float | None = None,
    overlap: str = "none",
    workers: int = 1,
) -> BudgetReport:
    """Recompute what the ledgers at `paths` spent, from nothing but their lines.

    Ledgers that carry the same commitment, or the name of the same client, are about the same records as far as one can
    know: their charges are composed. Copies count once. Different clients' charges compose in parallel, or add up.

    Args:
        paths: run folders (with `ledgers/`), folders of `*.jsonl`, or ledger files.
        delta: in (0, 1); by default the largest that the ledgers were charged with (0.0 if nothing was).
        accountant: a name in `fedgan.privacy.accountant.ACCOUNTANTS`, or "all" for each beside "pld".
        limit: the epsilon allowed, >= 0.
        overlap: "none" where clients hold disjoint records; "runs" for a person who may be at one client of each run,
            whatever its name; "sum" for one who has a record at every client. Then the largest epsilons of all runs, or
            the epsilons of all clients, add up, and so do the deltas (basic composition; Dwork and Roth 2014, theorem
            3.16). With "none" a fused generator is still taken by "runs", unless its parts' ledgers carry the same
            commitments: parts may divide the same records differently.
        workers: processes among which many ledgers are divided.

    Raises:
        UsageError: a path without a ledger, or a value out of range.
        IntegrityError: a ledger that is damaged, naming file and line.
    """
    if limit is not None and not 0 <= limit < math.inf:
        raise bad_value("limit", limit, "a number of at least 0")
    if overlap not in OVERLAPS:
        raise bad_value("overlap", overlap, " or ".join(map(repr, OVERLAPS)))
    ledgers = list(each(read_summary, ledger_files(paths), workers))
    delta = max(ledger.delta for ledger in ledgers) if delta is None else check_delta(delta)
    names = ACCOUNTANTS.names() if accountant == ALL else None
    accountant = REPORTED if names else accountant
    holders = holders_of(ledgers)
    if overlap == "none" and not all(_divided_alike(parts_of(path), ledgers) for path in paths):
        overlap = "runs"
    groups = _groups(holders, ledgers, overlap)
    levels = _levels(groups, delta, accountant, overlap)
    rows = tuple(_row(holder, delta, accountant, names) for holder in holders)
    first = levels[0]
    return BudgetReport(
        epsilon=first.epsilon,
        delta=first.delta,
        level=first.level,
        accountant=accountant,
        limit=limit,
        within_limit=limit is None or first.epsilon <= limit,
        clients=rows,
        levels=levels,
        overlap=overlap,
        notes=tuple(note for holder in holders for note in holder.notes()),
        adversaries=adversaries(_kinds(holders), first.epsilon, first.delta) if run_folders(paths) else None,
        accountants=_together(groups, first.level, delta, names) if names else None,
    )


def _kinds(holders: Sequence[Holder]) -> set[tuple[str, str]]:
    """Return level and trust of all charges."""
    return {(charge.level, charge.trust) for holder in holders for charge in holder.charges}


def _row(holder: Holder, delta: float, accountant: str, names: list[str] | None) -> ClientBudget:
    charges = holder.charges
    level = levels_of(charges)[0]
    return ClientBudget(
        client=holder.client,
        records=max(ledger.records for ledger in holder.ledgers),
        epsilon=cost(charges, level, delta, accountant),
        delta=delta,
        charges=charges.total(),
        head="+".join(ledger.head for ledger in holder.ledgers),
        level=level,
        trust=trust_of(charges),
        accountants=_bounds(charges, level, delta, names) if names else None,
    )


def _divided_alike(parts: Sequence[Path], ledgers: Sequence[LedgerSummary]) -> bool:
    """Return whether the ledgers of all `parts` carry the same commitments, so that names mean the same records."""
    found = [frozenset(each.dataset for each in ledgers if part in each.path.parents) for part in parts]
    return len(set(found)) < 2


def _groups(holders: Sequence[Holder], ledgers: Sequence[LedgerSummary], overlap: str) -> list[list[Counter[Charge]]]:
    """Return groups of holders' charges: a person meets one holder of each group, in any."""
    if overlap == "none":
        return [[holder.charges for holder in holders]]
    if overlap == "sum":
        groups = [[holder.charges] for holder in holders]
    else:
        folders = dict.fromkeys(ledger.path.parent for ledger in ledgers)
        runs = ([ledger for ledger in ledgers if ledger.path.parent == folder] for folder in folders)
        groups = [[holder.charges for holder in holders_of(run)] for run in runs]
    return [group for group in groups if any(group)] or [[Counter()]]


def _levels(
    groups: Sequence[Sequence[Counter[Charge]]], delta: float, accountant: str, overlap: str
) -> tuple[LevelBudget, ...]:
    """Return what is promised at each level that was charged."""
    kinds = {charge for group in groups for charges in group for charge in charges}
    return tuple(
        LevelBudget(
            level,
            trust_of(kinds),
            float(sum(max(cost(charges, level, delta, accountant) for charges in group) for group in groups)),
            min(1.0, len(groups) * delta),
            overlap,
        )
        for level in levels_of(kinds)
    )


def _bounds(charges: Counter[Charge], level: str, delta: float, names: list[str]) -> dict[str, Bound]:
    """Return what each accountant says of `charges`; one that cannot say is not asked to."""
    bounds = {}
    for name in names:
        try:
            spent = cost(charges, level, delta, name)
            ends = epsilon_interval(events_of(charges, level), delta=delta, accountant=name) if charges else None
            bounds[name] = Bound(spent, *(ends or ()))
        except UsageError:
            bounds[name] = Bound(None)
    return bounds


def _together(
    groups: Sequence[Sequence[Counter[Charge]]], level: str, delta: float, names: list[str]
) -> dict[str, Bound]:
    """Return what each accountant says of all clients together; clients without a charge add nothing."""
    charged = [[charges for charges in group if charges] or [Counter[Charge]()] for group in groups]
    parts = [[_bounds(charges, level, delta, names) for charges in group] for group in charged]
    total = {}
    for name in names:
        ends = []
        for end in ("epsilon", "low", "high"):
            columns = [[getattr(bounds[name], end) for bounds in group] for group in parts]
            unknown = any(None in column for column in columns)
            ends.append(None if unknown else float(sum(max(column) for column in columns)))
        total[name] = Bound(*ends)
    return total
