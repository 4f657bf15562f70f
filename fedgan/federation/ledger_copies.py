"""The server's copies of ledgers that stay at the sites, so that a run can be audited at both ends."""

from __future__ import annotations

from pathlib import Path

from fedgan.errors import IntegrityError
from fedgan.federation.records import quoted
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

    def fault(self, release: Release, run: str) -> str | None:
        """Return why the ledger in `release` is not accepted, or None after keeping it.

        The charge that the release names has to be one of this `run` and of the release's round: an old release that is
        sent again, under whatever number, is none.
        """
        if not release.ledger:
            return "came without its ledger"
        return self.keep(release.client, release.ledger, head=release.head, charged=(run, release.round))

    def keep(
        self, client: str, ledger: str, *, head: str | None = None, charged: tuple[str, int] | None = None
    ) -> str | None:
        """Keep `ledger` as the copy of `client`'s; return why not, or None.

        Args:
            ledger: all its lines so far; "" for one that has not begun.
            head: hash that one of its lines must have, if any.
            charged: run and round of that line.
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
        if head is not None:
            paid = next((line for line in lines if line.hash == head), None)
            if paid is None:
                return "its ledger does not hold the charge of this release"
            if charged and (paid.row["run"], paid.row["round"]) != charged:
                return (
                    f"is an old release: its charge is for round {paid.row['round']} of run {quoted(paid.row['run'])}"
                )
        if ledger != kept:
            write_text(path, ledger)
        return None


def _lines(ledger: str, path: Path) -> list[LedgerLine]:
    if not ledger.endswith("\n"):
        raise IntegrityError("torn")
    return [*scan_lines(ledger.encode(), path)]
