"""Signatures under a ledger's last line with a node's key, so that whoever lacks the key cannot write another ledger.

A signature lies beside its ledger as `.sig`, replaced whole after every charge and before the charge is used. It is
over the line's hash, and so over every line before; over the client and the commitment to its records as well, so that
it cannot be moved to another ledger. ECDSA (FIPS 186-5) on P-256 or P-384 with SHA-256: keys as SuperNodes have them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)

from fedgan.errors import IntegrityError, UsageError, bad_value
from fedgan.files import write_bytes
from fedgan.privacy.ledger_line import LedgerLine

_CURVES = ("secp256r1", "secp384r1")
_PURPOSE = "fedgan ledger 1"  # signed too, so that a signature made for anything else never fits
_SCHEME = ECDSA(hashes.SHA256())


@dataclass(frozen=True)
class Signature:
    """What stands in a `.sig` file.

    Attributes:
        client, dataset: as in the ledger's lines.
        sequence: of the line that is signed.
        head: its hash.
        public_key: in OpenSSH's form, one line without a comment.
        signature: over all of these, in hexadecimal.
    """

    client: str
    dataset: str
    sequence: int
    head: str
    public_key: str
    signature: str

    def check(self) -> None:
        """Raise IntegrityError unless `signature` is one of `public_key` over the other fields."""
        try:
            key = serialization.load_ssh_public_key(self.public_key.encode())
            if not isinstance(key, EllipticCurvePublicKey):
                raise ValueError("not an EC key")
            key.verify(bytes.fromhex(self.signature), _message(self), _SCHEME)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            raise IntegrityError("its signature does not match its content") from None


def signature_path(ledger: Path) -> Path:
    """Return where the signature of `ledger` lies."""
    return ledger.with_suffix(".sig")


def sign(path: Path, line: LedgerLine, key: EllipticCurvePrivateKey) -> None:
    """Write the signature under `line`, the last of the ledger at `path`."""
    bare = Signature(line.client, line.dataset, line.sequence, line.hash, public_text(key.public_key()), "")
    row = asdict(bare) | {"signature": key.sign(_message(bare), _SCHEME).hex()}
    write_bytes(signature_path(path), json.dumps(row, indent=2).encode() + b"\n")


def read_signature(path: Path) -> Signature:
    """Return the checked signature in the `.sig` file `path`; raises IntegrityError saying what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path.name} is damaged: {error}") from None
    return parse_signature(text, path.name)


def parse_signature(text: str, name: str) -> Signature:
    """Return the checked signature in `text`, the content of a file called `name`; raises IntegrityError."""
    try:
        row = json.loads(text)
        kinds = {entry.name: str(entry.type) for entry in fields(Signature)}
        if not isinstance(row, dict) or {name: type(value).__name__ for name, value in row.items()} != kinds:
            raise ValueError("it is not the JSON object of a signature")
        signature = Signature(**row)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{name} is damaged: {error}") from None
    try:
        signature.check()
    except IntegrityError as error:
        raise IntegrityError(f"{name} is damaged: {error}") from None
    return signature


def public_text(key: EllipticCurvePublicKey) -> str:
    """Return `key` in OpenSSH's form."""
    form = serialization.PublicFormat.OpenSSH
    return key.public_bytes(serialization.Encoding.OpenSSH, form).decode()


def load_private_key(path: Path, option: str = "--sign-key") -> EllipticCurvePrivateKey:
    """Return the key in the file that `option` names, without a passphrase; raises UsageError if there is none."""
    content = _content(option, path)
    for load in (serialization.load_ssh_private_key, serialization.load_pem_private_key):
        try:
            key = load(content, None)
            if isinstance(key, EllipticCurvePrivateKey) and key.curve.name in _CURVES:
                return key
        except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it has a passphrase
            continue
    accepted = "a private EC key (P-256 or P-384) without passphrase, in OpenSSH's form or PEM"
    raise bad_value(option, str(path), accepted)


def load_public_key(path: Path) -> EllipticCurvePublicKey:
    """Return the key in the file of `--public-key`; raises UsageError if there is none."""
    content = _content("--public-key", path)
    for load in (serialization.load_ssh_public_key, serialization.load_pem_public_key):
        try:
            key = load(content)
            if isinstance(key, EllipticCurvePublicKey) and key.curve.name in _CURVES:
                return key
        except (ValueError, UnsupportedAlgorithm):
            continue
    raise bad_value("--public-key", str(path), "a public EC key (P-256 or P-384), in OpenSSH's form or PEM")


def _content(option: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot be read: {error.strerror}") from None


def _message(signature: Signature) -> bytes:
    row = {key: value for key, value in asdict(signature).items() if key != "signature"}
    return json.dumps(row | {"purpose": _PURPOSE}, sort_keys=True, separators=(",", ":")).encode()
