"""Files written whole: a reader sees the old content or the new one, never half of either."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from fedgan.errors import WriteError


def write_bytes(path: Path, content: bytes, mode: int = 0o644, *, durable: bool = True) -> None:
    """Write `content` to `path` by a temporary file, fsync and rename; the folder is created if missing.

    With `mode` 0o600 nobody but the owner could read it at any time. What need not survive a power failure can do
    without fsync: give `durable` False.

    Raises:
        WriteError: the disk refuses; `path` is as it was, and nothing else is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            draft = Path(file.name)
            try:
                write_all(file.fileno(), content)
                if durable:
                    os.fsync(file.fileno())
                draft.chmod(mode)
                draft.replace(path)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        raise WriteError(path, error) from error


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` in UTF-8, whole or not at all."""
    write_bytes(path, content.encode())


def append_line(path: Path, line: str) -> None:
    """Append `line` and a line feed to `path` durably, whole or not at all; raises WriteError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            length = os.fstat(descriptor).st_size
            try:
                write_all(descriptor, f"{line}\n".encode())
                os.fsync(descriptor)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, length)
                raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise WriteError(path, error) from error


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of `content`, as os.write may stop short."""
    while content:
        content = content[os.write(descriptor, content) :]


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable, as a rename alone is not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
