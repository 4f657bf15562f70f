"""What the ledgers at some paths say was spent: the report behind `fedgan audit budget`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fedgan.audit.guarantee import LevelBudget, finite
from fedgan.audit.parallel import each
from fedgan.audit.paths import ledger_files
from fedgan.audit.summary import Charge, LedgerSummary, events_of, levels_of, read_summary, trust_of
from fedgan.errors import bad_value
from fedgan.privacy.accounting import check_delta, epsilon


@dataclass(frozen=True)
class ClientBudget:
    """What one client has spent.

    Attributes:
        client: its name.
        records: how many records it holds.
        epsilon: the cost of all its charges at `delta`; infinite where one had no noise.
        delta: the delta of the report.
        charges: how many there were.
        head: the hash of its ledger's last line; several ledgers' heads are joined by "+".
        level: whose presence that epsilon hides: "client" if every charge does, otherwise "record".
        trust: "aggregator" if a charge trusts the server, otherwise "local".
    """

    client: str
    records: int
    epsilon: float
    delta: float
    charges: int
    head: str
    level: str
    trust: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON object; an infinite epsilon is null."""
        return {**asdict(self), "epsilon": finite(self.epsilon)}


@dataclass(frozen=True)
class BudgetReport:
    """What all clients have spent.

    Attributes:
        epsilon: the largest over the clients: their records are disjoint, so their mechanisms compose in parallel.
        delta: the delta at which every epsilon here holds.
        level: whose presence it hides: the level of all charges, or "record" where both occur, at which every charge
            bounds something (see `fedgan.privacy.levels`).
        accountant: the accountant that computed it.
        limit: the epsilon that was allowed, if one was given.
        within_limit: whether `epsilon` is at most `limit`; true without a limit.
        clients: one entry a client, by name.
        levels: one entry for each level that was charged, "record" first; only "record" where nothing was.
    """

    epsilon: float
    delta: float
    level: str
    accountant: str
    limit: float | None
    within_limit: bool
    clients: tuple[ClientBudget, ...]
    levels: tuple[LevelBudget, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON object; an infinite epsilon is null."""
        return {
            **asdict(self),
            "epsilon": finite(self.epsilon),
            "clients": [client.to_dict() for client in self.clients],
            "levels": [level.to_dict() for level in self.levels],
        }


def audit_budget(
    paths: Sequence[Path],
    *,
    delta: float | None = None,
    accountant: str = "pld",
    limit: float | None = None,
    workers: int = 1,
) -> BudgetReport:
    """Recompute what the ledgers at `paths` spent, from nothing but their lines.

    A ledger found twice, or beside an earlier copy of itself, counts once. Different ledgers of the same client are
    added up, as they may be about the same records.

    Args:
        paths: run folders (with `ledgers/`), folders of `*.jsonl`, or ledger files.
        delta: in (0, 1); by default the largest that the ledgers were charged with (0.0 if nothing was).
        accountant: a name in `fedgan.privacy.accountant.ACCOUNTANTS`.
        limit: the epsilon allowed, >= 0.
        workers: processes among which many ledgers are divided.

    Raises:
        UsageError: a path without a ledger, or a value out of range.
        IntegrityError: a ledger that is damaged, naming file and line.
    """
    if limit is not None and not 0 <= limit < math.inf:
        raise bad_value("limit", limit, "a number of at least 0")
    ledgers = list(each(read_summary, ledger_files(paths), workers))
    if delta is None:
        delta = max(ledger.delta for ledger in ledgers)
    else:
        check_delta(delta)
    clients = _by_client(_without_copies(ledgers))
    rows = tuple(_client(name, lines, delta, accountant) for name, lines in clients.items())
    levels = tuple(_levels(list(clients.values()), delta, accountant))
    return BudgetReport(
        epsilon=levels[0].epsilon,
        delta=delta,
        level=levels[0].level,
        accountant=accountant,
        limit=limit,
        within_limit=limit is None or levels[0].epsilon <= limit,
        clients=rows,
        levels=levels,
    )


def _client(name: str, ledgers: Sequence[LedgerSummary], delta: float, accountant: str) -> ClientBudget:
    charges = _charges(ledgers)
    level = levels_of(charges)[0]
    return ClientBudget(
        client=name,
        records=max(ledger.records for ledger in ledgers),
        epsilon=cost(charges, level, delta, accountant),
        delta=delta,
        charges=charges.total(),
        head="+".join(ledger.head for ledger in ledgers),
        level=level,
        trust=trust_of(charges),
    )


def _levels(clients: Iterable[Sequence[LedgerSummary]], delta: float, accountant: str) -> Iterator[LevelBudget]:
    """Yield what is promised at each level that was charged."""
    charges_of = [_charges(ledgers) for ledgers in clients]
    kinds = {charge for charges in charges_of for charge in charges}
    for level in levels_of(kinds):
        worst = max(cost(charges, level, delta, accountant) for charges in charges_of)
        yield LevelBudget(level, trust_of(kinds), worst, delta)


def cost(charges: Counter[Charge], level: str, delta: float, accountant: str) -> float:
    """Return the epsilon at `delta` of `charges` for the presence of one "record" or one "client"."""
    return epsilon(events_of(charges, level), delta=delta, accountant=accountant) if charges else 0.0


def _charges(ledgers: Iterable[LedgerSummary]) -> Counter[Charge]:
    return sum((ledger.charges for ledger in ledgers), Counter())


def _without_copies(ledgers: Iterable[LedgerSummary]) -> list[LedgerSummary]:
    """Drop ledgers that another one contains from its first line on."""
    kept: list[LedgerSummary] = []
    for ledger in sorted(ledgers, key=lambda ledger: ledger.lines, reverse=True):
        if not any(other.continues(ledger) for other in kept):
            kept.append(ledger)
    return kept


def _by_client(ledgers: Iterable[LedgerSummary]) -> dict[str, list[LedgerSummary]]:
    clients: dict[str, list[LedgerSummary]] = {}
    for ledger in ledgers:
        clients.setdefault(ledger.client, []).append(ledger)
    return dict(sorted(clients.items()))
