"""The check of one ledger on its own: every line, and whether it can be true."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fedgan.audit.findings import Finding
from fedgan.audit.plausibility import implausible, suspicious
from fedgan.audit.summary import LedgerSummary, summarise
from fedgan.errors import IntegrityError
from fedgan.privacy.ledger_clock import ahead
from fedgan.privacy.ledger_line import LedgerLine
from fedgan.privacy.ledger_scan import scan_ledger


@dataclass
class Examined:
    """What was found in one ledger.

    Attributes:
        path: its file.
        summary: what it says; None where a line is damaged.
        fault: its first fault.
        warning: the first of its oddities of each kind.
    """

    path: Path
    summary: LedgerSummary | None = None
    fault: Finding | None = None
    warnings: list[Finding] = field(default_factory=list)


def examine(path: Path) -> Examined:
    """Return what is to be said of the ledger at `path`; raises UsageError if there is none."""
    examined = Examined(path)
    try:
        examined.summary = summarise(path, _watched(examined))
    except IntegrityError as error:
        _, line, what = str(error).removeprefix(str(path)).split(":", 2)
        damage = Finding(path, int(line), what.strip())
        if examined.fault is None or int(line) < (examined.fault.line or 0):
            examined.fault = damage
    return examined


def _watched(examined: Examined) -> Iterator[LedgerLine]:
    """Yield the lines of the ledger, noting its first fault and the first oddity of each kind."""
    before: LedgerLine | None = None
    kinds: set[str] = set()
    for number, line in enumerate(scan_ledger(examined.path), start=1):
        if examined.fault is None and (what := _misplaced(examined.path, line) or implausible(line, before)):
            examined.fault = Finding(examined.path, number, what)
        if examined.fault is None and (odd := suspicious(line)) and (kind := odd[:9]) not in kinds:
            kinds.add(kind)
            examined.warnings.append(Finding(examined.path, number, odd))
        before = line
        yield line
    if before is not None and examined.fault is None and (lead := ahead(before)):  # times never go back: it is the last
        what = f"its time {before.row['time']} lies {lead.total_seconds():.0f} s ahead of this machine's clock"
        examined.warnings.append(Finding(examined.path, before.sequence + 1, what))


def _misplaced(path: Path, line: LedgerLine) -> str | None:
    """Return what is wrong if a ledger named client-NAME.jsonl is another client's."""
    if line.sequence or not path.stem.startswith("client-") or path.stem == f"client-{line.client}":
        return None
    return f"it is the ledger of client {line.client!r}, not of the one that the file is named for"
