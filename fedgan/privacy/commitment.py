"""A commitment to a client's records that recognises them again and tells nobody else anything about them."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from fedgan.errors import IntegrityError
from fedgan.files import sync_folder, write_all

_SALT_BYTES = 32


def commitment(dataset: bytes, salt_path: Path, *, begin: bool) -> str:
    """Return SHA-256 over the salt in `salt_path` and the digest `dataset`, in hexadecimal.

    Without the salt, which stays in a file that only its owner may read, guessed records cannot be tested against it.

    Args:
        dataset: a digest of the records.
        salt_path: 32 random bytes.
        begin: whether to make the salt if it is not there.

    Raises:
        IntegrityError: the salt is damaged, or missing where it should exist.
    """
    if begin and not salt_path.exists():
        _write_private(salt_path, os.urandom(_SALT_BYTES))
    if not salt_path.exists():
        raise IntegrityError(f"{salt_path} is missing: without it the records of its ledger cannot be recognised")
    salt = salt_path.read_bytes()
    if len(salt) != _SALT_BYTES:
        raise IntegrityError(f"{salt_path} is damaged: it holds {len(salt)} bytes, not {_SALT_BYTES}")
    return sha256(salt + dataset).hexdigest()


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may ever have read, whole or not at all; one writer at a time."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        write_all(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)
    sync_folder(path.parent)
