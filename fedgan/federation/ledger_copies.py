"""The server's copies of ledgers that stay at the sites, so that a run can be audited at both ends."""

from __future__ import annotations

from pathlib import Path

from fedgan.errors import IntegrityError
from fedgan.federation.requests import Release, quoted
from fedgan.federation.sites import ledger_path
from fedgan.files import write_text
from fedgan.privacy.ledger_line import LedgerLine
from fedgan.privacy.ledger_scan import scan_lines
from fedgan.privacy.signature import parse_signature, read_signature, signature_path


class LedgerCopies:
    """Keeps what sites send of their ledgers, as long as it continues what they sent before.

    A signature is kept beside its ledger. Who has signed once signs for good, and with the same key.

    Args:
        folder: of the copies.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fault(self, release: Release, run: str, after: str = "") -> str | None:
        """Return why the ledger in `release` is not accepted, or None after keeping it.

        The charge that the release names has to be one of this `run` and of the release's round, and to stand behind
        the line `after`, the charge of the client's last release that was used: an old release that is sent again,
        under whatever number or stage, is none.
        """
        if not release.ledger:
            return "came without its ledger"
        return self.keep(
            release.client,
            release.ledger,
            head=release.head,
            charged=(run, release.round),
            after=after,
            signature=release.signature,
        )

    def keep(
        self,
        client: str,
        ledger: str,
        *,
        head: str | None = None,
        charged: tuple[str, int] | None = None,
        after: str = "",
        signature: str = "",
    ) -> str | None:
        """Keep `ledger` as the copy of `client`'s; return why not, or None.

        Args:
            ledger: all its lines so far; "" for one that has not begun.
            head: hash that one of its lines must have, if any; where the ledger is signed, one that is signed.
            charged: run and round of that line.
            after: hash of a line that it must follow; "" for none.
            signature: the content of the file that signs it; "" for none.

        Raises:
            IntegrityError: the signature that was kept before is damaged.
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
        if head is not None and (fault := _charge_fault(lines, head, charged, after)):
            return fault
        if fault := _signature_fault(path, lines, signature, head):
            return fault
        if ledger != kept:
            write_text(path, ledger)
        if signature:
            write_text(signature_path(path), signature)
        return None


def _charge_fault(lines: list[LedgerLine], head: str, charged: tuple[str, int] | None, after: str) -> str | None:
    """Return why the line with hash `head` is not what pays for a release, or None."""
    places = {line.hash: place for place, line in enumerate(lines)}
    if head not in places:
        return "its ledger does not hold the charge of this release"
    row = lines[places[head]].row
    if charged and (row["run"], row["round"]) != charged:
        return f"is an old release: its charge is for round {row['round']} of run {quoted(row['run'])}"
    if after and places[head] <= places.get(after, len(lines)):
        return "is an old release: its charge is not behind that of the last one that was used"
    return None


def _signature_fault(path: Path, lines: list[LedgerLine], text: str, head: str | None) -> str | None:
    """Return what is wrong with the signature in `text` under `lines`, whose copy is at `path`, or None."""
    kept = signature_path(path)
    before = read_signature(kept) if kept.exists() else None
    if not text:
        return "its ledger was signed before, and is not now" if before else None
    try:
        signature = parse_signature(text, "the signature")
    except IntegrityError:
        return "its ledger's signature does not verify"
    if before and signature.public_key != before.public_key:
        return "its ledger is signed with another key than before"
    signed = lines[signature.sequence] if 0 <= signature.sequence < len(lines) else None
    if signed is None or (signed.hash, signed.client, signed.dataset) != (
        signature.head,
        signature.client,
        signature.dataset,
    ):
        return "its ledger's signature is under other lines"
    if head is not None and head not in {line.hash for line in lines[: signature.sequence + 1]}:
        return "its ledger's signature does not cover the charge of this release"
    return None


def _lines(ledger: str, path: Path) -> list[LedgerLine]:
    if not ledger.endswith("\n"):
        raise IntegrityError("torn")
    return [*scan_lines(ledger.encode(), path)]
