"""Files written whole: a reader sees the old content or the new one, never half of either."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile


def write_bytes(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write `content` to `path` by a temporary file, fsync and rename; the folder is created if missing.

    With `mode` 0o600 nobody but the owner could read it at any time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).chmod(mode)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    sync_folder(path.parent)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` in UTF-8, whole or not at all."""
    write_bytes(path, content.encode())


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable, as a rename alone is not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
