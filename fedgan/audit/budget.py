"""What the ledgers at some paths say was spent: the report behind `fedgan audit budget`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fedgan.audit.guarantee import LevelBudget, charged_levels, finite, level_of, trust_of
from fedgan.errors import UsageError, bad_value
from fedgan.privacy.accounting import check_delta, epsilon
from fedgan.privacy.ledger import read_ledger
from fedgan.privacy.ledger_line import LedgerLine
from fedgan.privacy.levels import events_at


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
    paths: Sequence[Path], *, delta: float | None = None, accountant: str = "pld", limit: float | None = None
) -> BudgetReport:
    """Recompute what the ledgers at `paths` spent, from nothing but their lines.

    A ledger found twice, or beside an earlier copy of itself, counts once. Different ledgers of the same client are
    added up, as they may be about the same records.

    Args:
        paths: run folders (with `ledgers/`), folders of `*.jsonl`, or ledger files.
        delta: in (0, 1); by default the largest that the ledgers were charged with (0.0 if nothing was).
        accountant: a name in `fedgan.privacy.accountant.ACCOUNTANTS`.
        limit: the epsilon allowed, >= 0.

    Raises:
        UsageError: a path without a ledger, or a value out of range.
        IntegrityError: a ledger that is damaged, naming file and line.
    """
    if limit is not None and not 0 <= limit < math.inf:
        raise bad_value("limit", limit, "a number of at least 0")
    if not paths:
        raise UsageError("no path was given: name a run folder, a ledger folder or a ledger file")
    ledgers = [read_ledger(file) for file in _ledger_files(paths)]
    if delta is None:
        delta = max((line.delta for ledger in ledgers for line in ledger if line.delta is not None), default=0.0)
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


def _client(name: str, ledgers: Sequence[list[LedgerLine]], delta: float, accountant: str) -> ClientBudget:
    lines = [line for ledger in ledgers for line in ledger]
    level = level_of(lines)
    return ClientBudget(
        client=name,
        records=max(ledger[-1].records for ledger in ledgers),
        epsilon=_cost(level, lines, delta, accountant),
        delta=delta,
        charges=sum(line.event is not None for line in lines),
        head="+".join(ledger[-1].hash for ledger in ledgers),
        level=level,
        trust=trust_of(lines),
    )


def _levels(clients: Iterable[Sequence[list[LedgerLine]]], delta: float, accountant: str) -> Iterator[LevelBudget]:
    """Yield what is promised at each level that was charged."""
    lines_of = [[line for ledger in ledgers for line in ledger] for ledgers in clients]
    every = [line for lines in lines_of for line in lines]
    for level in charged_levels(every):
        worst = max(_cost(level, lines, delta, accountant) for lines in lines_of)
        yield LevelBudget(level, trust_of(every), worst, delta)


def _cost(level: str, lines: Iterable[LedgerLine], delta: float, accountant: str) -> float:
    events = events_at(level, lines)
    return epsilon(events, delta=delta, accountant=accountant) if events else 0.0


def _ledger_files(paths: Iterable[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if path.is_file():
            files.append(path)
            continue
        if not path.is_dir():
            raise UsageError(f"{path} does not exist: name a run folder, a ledger folder or a ledger file")
        folder = path / "ledgers" if (path / "ledgers").is_dir() else path
        found = sorted(folder.glob("*.jsonl"))
        found = [file for file in found if file.name != "metrics.jsonl"]
        if not found:
            raise UsageError(f"{path} holds no ledger (*.jsonl): a run at privacy.level = 'none' keeps none")
        files += found
    return files


def _without_copies(ledgers: Iterable[list[LedgerLine]]) -> list[list[LedgerLine]]:
    """Drop ledgers that another one contains from its first line on."""
    kept: list[list[LedgerLine]] = []
    for ledger in sorted(ledgers, key=len, reverse=True):
        position = len(ledger) - 1
        if not any(other[position].hash == ledger[position].hash for other in kept):  # equal hashes: equal pasts
            kept.append(ledger)
    return kept


def _by_client(ledgers: Iterable[list[LedgerLine]]) -> dict[str, list[list[LedgerLine]]]:
    clients: dict[str, list[list[LedgerLine]]] = {}
    for ledger in ledgers:
        clients.setdefault(ledger[0].client, []).append(ledger)
    return dict(sorted(clients.items()))
