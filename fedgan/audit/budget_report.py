"""What `fedgan audit budget` reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fedgan.audit.guarantee import Adversary, LevelBudget, finite


@dataclass(frozen=True)
class Bound:
    """What one accountant says.

    Attributes:
        epsilon: its upper bound; None where it cannot say.
        low, high: the ends of the interval that it puts around epsilon, where it has one.
    """

    epsilon: float | None
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """Return the fields as a JSON object; an infinite epsilon is null."""
        return {key: None if value is None else finite(value) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class ClientBudget:
    """What one client has spent.

    Attributes:
        client: its name; names of clients that committed to the same records are joined by "+".
        records: how many records it holds.
        epsilon: the cost of all its charges at `delta`; infinite where one had no noise.
        delta: the delta of the report.
        charges: how many there were.
        head: the hash of its ledger's last line; several ledgers' heads are joined by "+".
        level: whose presence that epsilon hides: "client" if every charge does, otherwise "record".
        trust: "aggregator" if a charge trusts the server, otherwise "local".
        accountants: what each accountant says, if all were asked.
    """

    client: str
    records: int
    epsilon: float
    delta: float
    charges: int
    head: str
    level: str
    trust: str
    accountants: dict[str, Bound] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON object; an infinite epsilon is null."""
        row = {**asdict(self), "epsilon": finite(self.epsilon)}
        return _with_accountants(row, self.accountants)


@dataclass(frozen=True)
class BudgetReport:
    """What all clients have spent.

    Attributes:
        epsilon: the largest over the clients where they hold disjoint records, so that their mechanisms compose in
            parallel; the sum where one person may be at every client.
        delta: the delta at which `epsilon` holds.
        level: whose presence it hides: the level of all charges, or "record" where both occur, at which every charge
            bounds something (see `fedgan.privacy.levels`).
        accountant: the accountant that computed it.
        limit: the epsilon that was allowed, if one was given.
        within_limit: whether `epsilon` is at most `limit`; true without a limit.
        clients: one entry a client, by name.
        levels: one entry for each level that was charged, "record" first; only "record" where nothing was.
        overlap: "none" (clients hold disjoint records) or "sum" (a person may be at every client).
        notes: what was decided about which ledgers are about the same records, a sentence each.
        adversaries: what each party sees and which guarantee holds against it, for run folders; otherwise None.
        accountants: what each accountant says, if all were asked.
    """

    epsilon: float
    delta: float
    level: str
    accountant: str
    limit: float | None
    within_limit: bool
    clients: tuple[ClientBudget, ...]
    levels: tuple[LevelBudget, ...]
    overlap: str = "none"
    notes: tuple[str, ...] = ()
    adversaries: tuple[Adversary, ...] | None = None
    accountants: dict[str, Bound] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON object; an infinite epsilon is null."""
        row = {
            **asdict(self),
            "epsilon": finite(self.epsilon),
            "clients": [client.to_dict() for client in self.clients],
            "levels": [level.to_dict() for level in self.levels],
            "notes": list(self.notes),
        }
        if self.adversaries is None:
            del row["adversaries"]
        else:
            row["adversaries"] = [adversary.to_dict() for adversary in self.adversaries]
        return _with_accountants(row, self.accountants)


def _with_accountants(row: dict[str, Any], accountants: dict[str, Bound] | None) -> dict[str, Any]:
    if accountants is None:
        del row["accountants"]
    else:
        row["accountants"] = {name: bound.to_dict() for name, bound in accountants.items()}
    return row
