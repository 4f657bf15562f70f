"""What is claimed about the canaries of an attack: an epsilon, and the events that it is the cost of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fedgan.privacy.accounting import epsilon
from fedgan.privacy.events import Event
from fedgan.privacy.ledger import read_ledger


@dataclass(frozen=True)
class Claim:
    """An upper bound on epsilon that attacks may refute.

    Attributes:
        epsilon: the bound; None where nothing is claimed.
        delta: the delta at which it holds, in (0, 1).
        clients: the events of each client whose canaries are attacked; empty without a ledger.
    """

    epsilon: float | None
    delta: float
    clients: tuple[tuple[Event, ...], ...] = ()


def ledger_claim(ledgers: Sequence[Path], *, delta: float, accountant: str, first_round: int = 0) -> Claim:
    """Return what these clients' ledgers claim for what they released from `first_round` on (0: the warm start).

    Records of different clients are disjoint, so the largest epsilon holds for all.
    """
    events = [
        tuple(line.event for line in read_ledger(path) if line.event is not None and line.row["round"] >= first_round)
        for path in ledgers
    ]
    worst = max((epsilon(spent, delta=delta, accountant=accountant) for spent in events), default=None)
    return Claim(worst, delta, tuple(spent for spent in events if spent))


def instead(claim: Claim, value: float | None) -> Claim:
    """Return `claim` with another epsilon, or as it is for None; the events it is held against stay."""
    return claim if value is None else replace(claim, epsilon=value)
