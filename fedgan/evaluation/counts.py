"""What training records answered to the questions of a `Probe`, as far as it may be told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

CHARGED = (
    "Counts over all training records of each client, under Gaussian noise. Each client's ledger was charged before "
    "its records were read: `fedgan audit budget` shows what it has spent by now."
)
UNPROMISED = (
    "Counts over all training records of each client, without noise and without a charge: at privacy.level 'none' "
    "nothing was promised of them, and these numbers are not private."
)


@dataclass(frozen=True)
class Counts:
    """Answers of the records of one client, or of all.

    Attributes:
        client: its name, or "all".
        records: how many were asked.
        epsilon: of all charges in the client's ledger, these counts included, or the largest of all clients; None at
            level "none".
        counts: by question, of those that answered yes; outside [0, records] where the noise leads there.
        noise_std: standard deviation of the noise of each count, in records.
        charge: hash of the ledger's line that they were charged by; None at level "none", and for "all".
    """

    client: str
    records: int
    epsilon: float | None
    counts: dict[str, float]
    noise_std: float
    charge: str | None = None

    @property
    def shares(self) -> dict[str, float]:
        """The counts as parts of the records."""
        return {name: count / self.records for name, count in self.counts.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {**asdict(self), "shares": self.shares}

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Counts:
        """Return what `to_dict` made `row` of; raises KeyError, TypeError or ValueError for anything else."""
        found = cls(
            client=str(row["client"]),
            records=int(row["records"]),
            epsilon=row["epsilon"],
            counts={str(name): float(count) for name, count in dict(row["counts"]).items()},
            noise_std=float(row["noise_std"]),
            charge=str(row["charge"]),
        )
        if found.records < 1 or found.to_dict() != row:
            raise ValueError(f"these are no counts of client {found.client}")
        return found


@dataclass(frozen=True)
class Reads:
    """What one evaluation has read of private records.

    Attributes:
        generator: which one was asked about: `sha256` of its weights, and its `rounds`.
        questions: SHA-256 over what else the questions follow from.
        epsilon: what it cost each client by itself at `delta`; None, as `delta`, at level "none".
        noise_multiplier: standard deviation of the noise over the sensitivity, the root of the number of questions.
        test_records: images of the test set.
        expected: by question, the share of them that answers yes.
        clients: those whose records were read.
        missing: names of clients whose records are still to be read, where it was cut off.
    """

    generator: dict[str, Any]
    questions: str
    epsilon: float | None
    delta: float | None
    noise_multiplier: float
    test_records: int
    expected: dict[str, float]
    clients: tuple[Counts, ...]
    missing: tuple[str, ...] = ()

    @property
    def statement(self) -> str:
        """What was read, and what was paid for it."""
        return UNPROMISED if self.epsilon is None else CHARGED

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "statement": self.statement,
            "generator": self.generator,
            "questions": self.questions,
            "epsilon": self.epsilon,
            "delta": self.delta,
            "noise_multiplier": self.noise_multiplier,
            "test_records": self.test_records,
            "expected": self.expected,
            "clients": [client.to_dict() for client in self.clients],
            "all": together(self.clients).to_dict(),
            "missing": list(self.missing),
        }


def together(clients: Sequence[Counts]) -> Counts:
    """Return the sums over at least one client: their noises are independent, their records are not the same."""
    epsilons = [client.epsilon for client in clients if client.epsilon is not None]
    return Counts(
        client="all",
        records=sum(client.records for client in clients),
        epsilon=max(epsilons, default=None),
        counts={name: sum(client.counts[name] for client in clients) for name in clients[0].counts},
        noise_std=math.hypot(*(client.noise_std for client in clients)),
    )
