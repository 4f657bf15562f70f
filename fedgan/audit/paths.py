"""Where the ledgers of a path lie."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

from fedgan.errors import UsageError


def ledger_files(paths: Iterable[Path]) -> list[Path]:
    """Return the ledgers at `paths`: run folders, folders of `*.jsonl`, or ledger files.

    A fused generator's are those of all its parts, each of which has to have some. A run whose ledgers go on over runs
    (`privacy.ledgers`) is read where its configuration says that they lie.

    Raises:
        UsageError: a path without a ledger, or no path at all.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_file():
            files.append(path)
            continue
        if parts := parts_of(path):
            for part in parts:
                files += ledger_files([part])
            continue
        if not path.is_dir():
            raise UsageError(f"{path} does not exist: name a run folder, a ledger folder or a ledger file")
        found = sorted(file for file in _folder(path).glob("*.jsonl") if file.name != "metrics.jsonl")
        if not found:
            raise UsageError(f"{path} holds no ledger (*.jsonl): a run at privacy.level = 'none' keeps none")
        files += found
    if not files:
        raise UsageError("no path was given: name a run folder, a ledger folder or a ledger file")
    return list(dict.fromkeys(files))


def parts_of(path: Path) -> list[Path]:
    """Return the folders of the runs that a fused generator in the folder `path` was made of; none for a run."""
    parts = path / "parts"
    return sorted(part for part in parts.iterdir() if part.is_dir()) if parts.is_dir() else []


def run_folders(paths: Iterable[Path]) -> list[Path]:
    """Return those of `paths` that are run folders."""
    return [path for path in paths if (path / "config.toml").is_file()]


def _folder(path: Path) -> Path:
    if (path / "ledgers").is_dir():
        return path / "ledgers"
    try:
        lasting = tomllib.loads((path / "config.toml").read_text(encoding="utf-8"))["privacy"]["ledgers"]
    except (OSError, ValueError, KeyError, TypeError):  # no run folder, or one without such a key
        return path
    folder = Path(str(lasting)).expanduser()
    return folder if lasting and folder.is_dir() else path
