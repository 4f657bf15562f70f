"""One server process writes a run: it holds a lock, and ends when the process that started it is gone.

A SuperLink that is killed leaves its server process behind, which would go on to write checkpoints beside those of the
one that goes on with the run.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from time import monotonic, sleep

from fedgan.errors import FedganError

_LOOK_S = 0.5


def end_with_parent() -> None:
    """End this process, at once and from a thread of its own, when its parent is another than now."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            sleep(_LOOK_S)
        os._exit(1)

    Thread(target=watch, name="parent", daemon=True).start()


@contextmanager
def only_writer(folder: Path, patience: float) -> Iterator[None]:
    """Hold the lock of the run in `folder`; wait `patience` s for one that is just ending, then raise FedganError."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = monotonic() + patience
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if monotonic() > deadline:
                    raise FedganError(f"{folder}: another server writes this run") from None
                sleep(_LOOK_S)
        yield
    finally:
        os.close(descriptor)
