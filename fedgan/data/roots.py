"""Turns a missing or unusable `data.root` into one error that says what to put where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from fedgan.errors import UsageError, bad_value, one_line


def require_root(root: Path | None, layout: str) -> Path:
    """Return `root`; raises UsageError where none is given. `layout` says what belongs there."""
    if root is None:
        raise bad_value("data.root", "", layout)
    return root


def missing(root: Path, layout: str) -> UsageError:
    """Return the error for a root that lacks something; `layout` says what belongs there."""
    return bad_value("data.root", str(root), layout)


@contextmanager
def torchvision_errors(root: Path, layout: str) -> Iterator[None]:
    """Report a failed download, a folder that cannot be written or a wrong checksum as a UsageError.

    Folders made for a download that failed are removed again: a mistyped root leaves nothing behind.
    """
    made = [folder for folder in (root, *root.parents) if not folder.exists()]
    try:
        yield
    except (OSError, RuntimeError) as error:
        if made:
            rmtree(made[-1], ignore_errors=True)
        raise bad_value("data.root", str(root), f"{layout}; downloading it there failed: {one_line(error)}") from error
