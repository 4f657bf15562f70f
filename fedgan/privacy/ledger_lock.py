"""One writer a ledger, and one line for what a disk refuses."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedgan.errors import FedganError, UsageError


def take_lock(path: Path) -> int:
    """Return a descriptor that holds the lock of the ledger at `path`; raises UsageError if another writer has it."""
    # A file of its own, since recovery replaces the ledger; flock, since it also keeps out this very process.
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise UsageError(f"{path} is open for writing elsewhere: a ledger has one writer at a time") from error
    return lock


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the disk refuses within into an error that names the ledger at `path`."""
    try:
        yield
    except OSError as error:
        what = f"{path}: cannot be written, so nothing is computed: {error.strerror or error}"
        raise FedganError(what) from error
