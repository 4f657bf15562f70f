"""The check of ledgers' signatures: whose they are, and whether they cover what the ledgers hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedgan.audit.findings import Finding
from fedgan.audit.summary import LedgerSummary
from fedgan.errors import IntegrityError


@dataclass
class Signatures:
    """What was seen of signatures.

    Attributes:
        signed: client, file, number of the last signed line and public key of every ledger whose signature holds.
        faults: what is wrong, at most one for each ledger.
        warnings: ledgers that go on after the line that was signed.
    """

    signed: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)


def check_signatures(ledgers: Iterable[LedgerSummary], public_key: Path | None) -> Signatures:
    """Check the signature beside each of `ledgers` against the key in it, which must be `public_key` if that is given.

    With a key, a ledger without a signature and lines after the signed one are faults; without, they are not.
    """
    key = None
    if public_key is not None:  # imported where it is needed, since that takes as long as all the rest
        from fedgan.privacy.signature import load_public_key, public_text

        key = public_text(load_public_key(public_key))
    seen = Signatures()
    for ledger in ledgers:
        file = ledger.path.with_suffix(".sig")
        if key is None and not file.exists():
            continue
        try:
            if not file.exists():
                raise IntegrityError(f"it is not signed: there is no {file.name} beside it")
            last, signer = _check(ledger, file, key)
        except IntegrityError as error:
            seen.faults.append(Finding(ledger.path, None, str(error)))
            continue
        if last < ledger.lines:
            what = (
                "it is not signed: the signature is under an earlier line, as a crash leaves it until the next charge"
            )
            (seen.warnings if key is None else seen.faults).append(Finding(ledger.path, last + 1, what))
        if last == ledger.lines or key is None:
            seen.signed.append({"client": ledger.client, "path": str(file), "line": last, "public_key": signer})
    return seen


def _check(ledger: LedgerSummary, file: Path, key: str | None) -> tuple[int, str]:
    """Return the number, from 1, of the line that is signed in `file`, and the key."""
    from fedgan.privacy.signature import read_signature

    signature = read_signature(file)
    if key is not None and signature.public_key != key:
        raise IntegrityError(f"{file.name} was signed with another key than that of --public-key")
    if (signature.client, signature.dataset) != (ledger.client, ledger.dataset):
        raise IntegrityError(f"{file.name} is the signature of another ledger, of client {signature.client!r}")
    number = signature.sequence + 1
    if ledger.position(signature.head) != number:
        raise IntegrityError(f"lines were changed or cut: line {number}, which is signed in {file.name}, is gone")
    return number, signature.public_key
