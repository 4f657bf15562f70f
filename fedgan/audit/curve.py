"""What the ledgers say that each client had spent after each round."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedgan.audit.holders import Holder, holders_of
from fedgan.audit.paths import ledger_files
from fedgan.audit.summary import levels_of, read_summary
from fedgan.privacy.accounting import check_delta
from fedgan.privacy.curve import epsilon_curve, spacing
from fedgan.privacy.events import Event
from fedgan.privacy.ledger_line import LedgerLine
from fedgan.privacy.ledger_scan import scan_ledger
from fedgan.privacy.levels import event_at

Point = tuple[str, int]  # run and round


@dataclass(frozen=True)
class SpentByRound:
    """Epsilon of each client over the rounds of all its runs.

    Attributes:
        points: run and round of each value, in order, where any client was charged; round 0 is the warm start.
        epsilons: a client's epsilon after each point, by the names of `BudgetReport.clients`; the last is its total.
        repeated: charges for a round for which their client was charged before, as when a crash lost what it had
            computed and it was asked again.
        every: 1, or k where only every k-th value was computed and the others are the next one, an upper bound.
    """

    points: tuple[Point, ...]
    epsilons: dict[str, list[float]]
    repeated: int = 0
    every: int = 1

    @property
    def note(self) -> str:
        """What must be said beside the curves, or ""."""
        if self.every == 1:
            return ""
        return f"epsilon was computed after one round in {self.every}; the others show the next value, a bound above"


def spent_by_round(paths: Sequence[Path], *, delta: float | None = None, accountant: str = "pld") -> SpentByRound:
    """Return the curves of the ledgers at `paths`; arguments and errors are those of `audit_budget`."""
    summaries = [read_summary(path) for path in ledger_files(paths)]
    delta = max(summary.delta for summary in summaries) if delta is None else check_delta(delta)
    holders = holders_of(summaries)
    charged = {holder.client: _charges(holder) for holder in holders}
    points = _points(line for lines in charged.values() for line in lines)
    histories = {
        holder.client: _history(charged[holder.client], levels_of(holder.charges)[0], points) for holder in holders
    }
    every = spacing(len(points), len(set(histories.values())))
    curves = {
        history: epsilon_curve(history, delta=delta, accountant=accountant, every=every)
        for history in set(histories.values())
        if points
    }
    epsilons = {client: curves.get(history, []) for client, history in histories.items()}
    return SpentByRound(points, epsilons, sum(map(_repeated, charged.values())), every)


def _charges(holder: Holder) -> list[LedgerLine]:
    return [line for ledger in holder.ledgers for line in scan_ledger(ledger.path) if line.event is not None]


def _repeated(charged: Sequence[LedgerLine]) -> int:
    """Return how many of one holder's charges are for a round that one of the same ledger was for."""
    return len(charged) - len({(line.dataset, line.client, line.row["run"], line.row["round"]) for line in charged})


def _points(lines: Iterable[LedgerLine]) -> tuple[Point, ...]:
    """Return every round that was charged, runs in the order of their first charge."""
    begun: dict[str, str] = {}
    points: set[Point] = set()
    for line in lines:
        run, time = line.row["run"], line.row["time"]
        begun[run] = min(begun.get(run, time), time)
        points.add((run, line.row["round"]))
    return tuple(sorted(points, key=lambda point: (begun[point[0]], point)))


def _history(lines: Iterable[LedgerLine], level: str, points: Sequence[Point]) -> tuple[tuple[Event, ...], ...]:
    at: dict[Point, list[Event]] = {}
    for line in lines:
        if line.event is not None:
            at.setdefault((line.row["run"], line.row["round"]), []).append(event_at(level, line.level, line.event))
    return tuple(tuple(at.get(point, ())) for point in points)
