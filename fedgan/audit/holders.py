"""Which ledgers are about the same records, so that what they charge adds up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fedgan.audit.summary import Charge, LedgerSummary


@dataclass(frozen=True)
class Holder:
    """One set of records and everything that was charged to it.

    Attributes:
        client: the name of its client; several names, joined by "+", where they committed to the same records.
        ledgers: its ledgers, none of them contained in another.
    """

    client: str
    ledgers: tuple[LedgerSummary, ...]

    @property
    def charges(self) -> Counter[Charge]:
        """All charges of all ledgers."""
        return sum((ledger.charges for ledger in self.ledgers), Counter())

    def notes(self) -> list[str]:
        """Return why more than one ledger counts as about these records, a sentence each."""
        if len(self.ledgers) < 2:
            return []
        commitments = len({ledger.dataset for ledger in self.ledgers})
        what = f"{len(self.ledgers)} ledgers of client {self.client}"
        if commitments == 1:
            return [f"{what} carry one commitment: they are about the same records, and their charges are composed"]
        return [
            f"{what} carry {commitments} commitments: each ledger salts its own, so these may be the same records, and "
            "their charges are composed"
        ]


def holders_of(ledgers: Iterable[LedgerSummary]) -> list[Holder]:
    """Return the holders of the records of `ledgers`, by name.

    A ledger found twice, or beside an earlier copy of itself, counts once. Ledgers belong together that carry the same
    commitment, or the name of the same client.
    """
    groups: list[list[LedgerSummary]] = []
    by_key: dict[tuple[str, str], list[LedgerSummary]] = {}
    for ledger in _without_copies(ledgers):
        keys = [("client", ledger.client), ("dataset", ledger.dataset)]
        known = [by_key[key] for key in keys if key in by_key]
        group = known[0] if known else []
        if not known:
            groups.append(group)
        for other in known[1:]:
            if other is not group:
                group += other
                groups = [kept for kept in groups if kept is not other]
        group.append(ledger)
        for member in group if len(known) > 1 else [ledger]:
            by_key["client", member.client] = by_key["dataset", member.dataset] = group
    return sorted((_holder(group) for group in groups), key=lambda holder: holder.client)


def _holder(group: Sequence[LedgerSummary]) -> Holder:
    return Holder("+".join(sorted({ledger.client for ledger in group})), tuple(group))


def _without_copies(ledgers: Iterable[LedgerSummary]) -> list[LedgerSummary]:
    """Drop ledgers that another one contains from its first line on."""
    kept: dict[bytes, list[LedgerSummary]] = {}
    for ledger in sorted(ledgers, key=lambda ledger: ledger.lines, reverse=True):
        same_opening = kept.setdefault(ledger.opening, [])
        if not any(other.continues(ledger) for other in same_opening):
            same_opening.append(ledger)
    return [ledger for ledgers in kept.values() for ledger in ledgers]
