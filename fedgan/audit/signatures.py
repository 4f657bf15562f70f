"""The check of ledgers' signatures: whose they are, and whether they cover what the ledgers hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedgan.audit.findings import Finding
from fedgan.audit.summary import LedgerSummary
from fedgan.errors import IntegrityError, bad_value


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

    Args:
        ledgers: verified.
        public_key: file of the key of all, or a folder that holds each client's own as CLIENT.pub.
    """
    keys = None if public_key is None else _Keys(public_key)
    seen = Signatures()
    for ledger in ledgers:
        file = ledger.path.with_suffix(".sig")
        if keys is None and not file.exists():
            continue
        try:
            key = keys.of(ledger.client) if keys else None
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


class _Keys:
    """The public keys at `path`, a file or a folder, in OpenSSH's form; raises UsageError where there is none."""

    def __init__(self, path: Path) -> None:
        # Imported where it is needed, since that takes as long as all the rest.
        from fedgan.privacy.signature import load_public_key, public_text

        self._path = path
        self._each = path.is_dir()
        files = sorted(path.glob("*.pub")) if self._each else [path]
        if not files:
            raise bad_value("--public-key", str(path), "a file, or a folder with a CLIENT.pub for each client")
        self._keys = {file.stem: public_text(load_public_key(file)) for file in files}

    def of(self, client: str) -> str:
        """Return the key that must have signed the ledger of `client`; raises IntegrityError if there is none."""
        key = self._keys.get(client if self._each else self._path.stem)
        if key is None:
            raise IntegrityError(f"there is no {client!r}.pub in {self._path}: whose signature it needs is not known")
        return key


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
