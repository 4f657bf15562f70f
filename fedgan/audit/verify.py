"""Whether the record is intact: the report behind `fedgan audit verify`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedgan.audit.examine import examine
from fedgan.audit.findings import Finding
from fedgan.audit.fused_files import fused_faults
from fedgan.audit.parallel import each
from fedgan.audit.paths import ledger_files, parts_of, run_folders
from fedgan.audit.run_files import run_faults
from fedgan.audit.signatures import check_signatures
from fedgan.audit.summary import LedgerSummary
from fedgan.errors import UsageError


@dataclass(frozen=True)
class VerifyReport:
    """What a verification saw.

    Attributes:
        ledgers: every ledger that holds, by path.
        runs: the run folders whose card and checkpoints were checked.
        faults: what is wrong, at most one for each ledger: its first.
        warnings: what is odd, the first of each kind for each ledger.
        signed: the signatures that hold; see `Signatures`.
    """

    ledgers: tuple[LedgerSummary, ...]
    runs: tuple[Path, ...]
    faults: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    signed: tuple[dict[str, Any], ...]

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "intact": self.intact,
            "ledgers": [
                {
                    "client": ledger.client,
                    "path": str(ledger.path),
                    "lines": ledger.lines,
                    "charges": ledger.charges.total(),
                    "head": ledger.head,
                }
                for ledger in self.ledgers
            ],
            "runs": [str(run) for run in self.runs],
            "faults": [finding.to_dict() for finding in self.faults],
            "warnings": [finding.to_dict() for finding in self.warnings],
            "signed": list(self.signed),
        }


def verify(paths: Sequence[Path], *, public_key: Path | None = None, workers: int = 1) -> VerifyReport:
    """Check the ledgers at `paths` line by line, and the cards and checkpoints of those that are run folders.

    Args:
        paths: run folders (with `ledgers/`), folders of `*.jsonl`, or ledger files.
        public_key: file of the key that must have signed every ledger, or a folder with a CLIENT.pub for each; without,
            signatures that are there are checked.
        workers: processes among which many ledgers are divided.

    Raises:
        UsageError: a path without anything to verify, or no usable key.
    """
    runs = run_folders(paths)
    examined = list(each(examine, _files(paths, runs), workers))
    good = [one.summary for one in examined if one.summary is not None and one.fault is None]
    faults = [one.fault for one in examined if one.fault is not None]
    by_client: dict[str, list[LedgerSummary]] = {}
    for ledger in good:
        by_client.setdefault(ledger.client, []).append(ledger)
    for run in runs:
        # What a damaged ledger holds is unknown, so nothing can be said of heads then.
        if parts_of(run):
            faults += fused_faults(run, None if faults else good)
        else:
            faults += run_faults(run, None if faults else by_client)
    signatures = check_signatures(good, public_key)
    faults += signatures.faults
    odd = (warning for one in examined for warning in one.warnings)
    warnings = (*odd, *_shared(good), *signatures.warnings)
    return VerifyReport(tuple(good), tuple(runs), tuple(faults), warnings, tuple(signatures.signed))


def _files(paths: Sequence[Path], runs: Sequence[Path]) -> list[Path]:
    """Return the ledgers; a run at level "none" has none, and is verified for its digests alone."""
    if not paths:
        return ledger_files(paths)
    files: list[Path] = []
    for path in paths:
        parts = parts_of(path)
        for place in parts or [path]:
            try:
                files += ledger_files([place])
            except UsageError:
                if path not in runs:
                    raise
    return list(dict.fromkeys(files))


def _shared(ledgers: Sequence[LedgerSummary]) -> Iterator[Finding]:
    """Warn of clients that hold the same records under two names."""
    first: dict[str, LedgerSummary] = {}
    for ledger in ledgers:
        other = first.setdefault(ledger.dataset, ledger)
        if other.client != ledger.client:
            what = f"clients {other.client!r} and {ledger.client!r} committed to the same records: their charges add up"
            yield Finding(ledger.path, 1, what)
