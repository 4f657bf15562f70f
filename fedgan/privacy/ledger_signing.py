"""What a ledger's writer does about its signature: check the one that is there, and renew it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fedgan.errors import IntegrityError, UsageError
from fedgan.privacy.ledger_line import LedgerLine

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


def check_signed(path: Path, lines: Sequence[LedgerLine], key: EllipticCurvePrivateKey | None) -> None:
    """Check that `key` may go on with the ledger at `path`, so that no line that was changed is ever signed anew.

    Raises:
        UsageError: the ledger is signed, and `key` is another one or none.
        IntegrityError: the signature is damaged, or not under these lines.
    """
    file = path.with_suffix(".sig")
    if not file.exists():
        return
    if key is None:
        raise UsageError(
            f"{path} is signed: it goes on only with the key that signed it (--sign-key; at a site sign_key)"
        )
    from fedgan.privacy.signature import public_text, read_signature

    try:
        signature = read_signature(file)
        if signature.public_key != public_text(key.public_key()):
            raise UsageError(f"{path} is signed with another key than that of --sign-key (at a site sign_key)")
        signed = lines[signature.sequence] if 0 <= signature.sequence < len(lines) else None
        if signed is None or signed.hash != signature.head:
            raise IntegrityError(f"line {signature.sequence + 1} is not the one that was signed")
    except IntegrityError as error:
        raise IntegrityError(f"{path}: {error}") from None


def renew_signature(path: Path, line: LedgerLine, key: EllipticCurvePrivateKey | None) -> None:
    """Sign `line`, the last of the ledger at `path`, if there is a `key`."""
    if key is not None:
        from fedgan.privacy.signature import sign

        sign(path, line, key)
