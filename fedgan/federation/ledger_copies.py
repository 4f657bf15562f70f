"""The server's copies of ledgers that stay at the sites, so that a run can be audited at both ends."""

from __future__ import annotations

from pathlib import Path

from fedgan.errors import IntegrityError
from fedgan.federation.requests import Release
from fedgan.federation.sites import ledger_path
from fedgan.files import write_text
from fedgan.privacy.ledger_line import LedgerLine
from fedgan.privacy.ledger_scan import scan_lines


class LedgerCopies:
    """Keeps what sites send of their ledgers, as long as it continues what they sent before.

    Args:
        folder: of the copies.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fault(self, release: Release) -> str | None:
        """Return why the ledger in `release` is not accepted, or None after keeping it."""
        if not release.ledger:
            return "came without its ledger"
        return self.keep(release.client, release.ledger, head=release.head)

    def keep(self, client: str, ledger: str, *, head: str | None = None) -> str | None:
        """Keep `ledger` as the copy of `client`'s; return why not, or None.

        Args:
            ledger: all its lines so far; "" for one that has not begun.
            head: hash that one of its lines must have, if any.
        """
        path = ledger_path(self._folder, client)
        kept = path.read_text(encoding="utf-8") if path.exists() else ""
        if not ledger.startswith(kept):
            return "its ledger does not continue the one it showed before"
        if not ledger:
            return None
        try:
            lines = _lines(ledger, path)
        except IntegrityError:
            return "its ledger does not verify"
        if lines[-1].client != client:
            return "its ledger is another client's"
        if head is not None and head not in {line.hash for line in lines}:
            return "its ledger does not hold the charge of this release"
        if ledger != kept:
            write_text(path, ledger)
        return None


def _lines(ledger: str, path: Path) -> list[LedgerLine]:
    if not ledger.endswith("\n"):
        raise IntegrityError("torn")
    return [*scan_lines(ledger.encode(), path)]
