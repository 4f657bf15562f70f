"""What one ledger says, in a size that does not grow with its events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fedgan.privacy.accounting import epsilon
from fedgan.privacy.events import Event, SelfComposed
from fedgan.privacy.ledger_line import DEFAULTS, LedgerLine
from fedgan.privacy.ledger_scan import scan_ledger
from fedgan.privacy.levels import event_at

_DIGEST = 32  # bytes of SHA-256


class Charge(NamedTuple):
    """What distinguishes one charge from another in its cost."""

    level: str
    trust: str
    event: Event


@dataclass(frozen=True)
class LedgerSummary:
    """A verified ledger.

    Attributes:
        path: its file.
        client: name of its client.
        dataset: the commitment to the records.
        records: how many there are.
        charges: how often each charge was made.
        delta: the largest delta of a charge, 0.0 where there is none.
        hashes: the hashes of all lines, 32 bytes each.
        recoveries: how many lines close off what a crash left torn.
    """

    path: Path
    client: str
    dataset: str
    records: int
    charges: Counter[Charge]
    delta: float
    hashes: bytes
    recoveries: int = 0

    @property
    def lines(self) -> int:
        """How many lines there are."""
        return len(self.hashes) // _DIGEST

    @property
    def head(self) -> str:
        """The hash of the last line."""
        return self.hashes[-_DIGEST:].hex()

    @property
    def opening(self) -> bytes:
        """The hash of the first line."""
        return self.hashes[:_DIGEST]

    def position(self, head: str) -> int | None:
        """Return the number of the line, from 1, whose hash is `head`, or None."""
        try:
            wanted = bytes.fromhex(head)
        except ValueError:
            return None
        begin = self.hashes.find(wanted) if len(wanted) == _DIGEST else -1
        while begin % _DIGEST and begin >= 0:
            begin = self.hashes.find(wanted, begin + 1)
        return None if begin < 0 else begin // _DIGEST + 1

    def continues(self, other: LedgerSummary) -> bool:
        """Return whether `other` is this ledger at this or an earlier time; equal hashes have equal pasts."""
        return self.hashes[len(other.hashes) - _DIGEST : len(other.hashes)] == other.hashes[-_DIGEST:]


def read_summary(path: Path) -> LedgerSummary:
    """Return the summary of the ledger at `path`; raises IntegrityError if it is damaged."""
    return summarise(path, scan_ledger(path))


def summarise(path: Path, lines: Iterable[LedgerLine]) -> LedgerSummary:
    """Return the summary of `lines`, at least one, which are those of the ledger at `path`."""
    charges: Counter[Charge] = Counter()
    hashes = bytearray()
    delta, recoveries = 0.0, 0
    for line in lines:
        recoveries += "recovered" in line.row
        hashes += bytes.fromhex(line.hash)
        if line.event is not None:
            charges[Charge(line.level, line.trust, line.event)] += 1
            delta = max(delta, line.row["delta"])
    return LedgerSummary(path, line.client, line.dataset, line.records, charges, delta, bytes(hashes), recoveries)


def events_of(charges: Counter[Charge], level: str) -> list[Event]:
    """Return what `charges` did to the presence of one "record" or of one "client"."""
    return [SelfComposed(count, event_at(level, charge.level, charge.event)) for charge, count in charges.items()]


def cost(charges: Counter[Charge], level: str, delta: float, accountant: str) -> float:
    """Return the epsilon at `delta` of `charges` for the presence of one "record" or one "client"."""
    return epsilon(events_of(charges, level), delta=delta, accountant=accountant) if charges else 0.0


def levels_of(charges: Iterable[Charge]) -> list[str]:
    """Return the levels of `charges`, "record" first and alone where there are none."""
    return sorted({charge.level for charge in charges}, reverse=True) or [DEFAULTS["level"]]


def trust_of(charges: Iterable[Charge]) -> str:
    """Return the trust under which each of `charges` bounds something."""
    return "aggregator" if any(charge.trust == "aggregator" for charge in charges) else DEFAULTS["trust"]
