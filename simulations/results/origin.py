"""What made a figure: the commit of the checkout, and a digest of the configuration."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

from fedgan.config import Config, flatten, load_config
from simulations.results.row import Row

ROOT = Path(__file__).resolve().parents[2]
"""The checkout that this code lies in."""
UNKNOWN = ""
"""A commit or a digest that was not written down, as in older records."""
_GIT_S = 60.0


@cache
def this_commit() -> str | None:
    """Return the commit of `ROOT` as it was when this process first asked: later changes are not what it runs."""
    return commit_of(ROOT)


def commit_of(folder: Path) -> str | None:
    """Return the commit that is checked out in `folder`, the top of a work tree; None where there is no git.

    "-dirty" stands behind it where tracked files differ. Files in docs/ do not count: results are written there.
    """
    top = _git(folder, "rev-parse", "--show-toplevel")
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)docs")
    if not top or not commit or changed is None or Path(top).resolve() != folder.resolve():
        return None
    return f"{commit}-dirty" if changed else commit


def _git(folder: Path, *words: str) -> str | None:
    """Return what git says, or None if it fails or is not there."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout.strip()


def configs_of(row: Row, seed: int, places: Sequence[str] = ()) -> list[Config]:
    """Return the configurations of the runs of `row` with `seed`; `places` say where data and ledgers lie."""
    path = ROOT / "configs" / row.config
    return [load_config(path, [*row.overrides(part), *places]) for part in row.run_seeds(seed)]


def digest(configs: Sequence[Config]) -> str:
    """Return SHA-256 over `configs`, every setting resolved; where data and ledgers lie does not count.

    A setting that is new since has changed it too, whatever its default does.
    """
    settings = [flatten(anywhere(config).model_dump()) for config in configs]
    return sha256(json.dumps(settings, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def anywhere(config: Config) -> Config:
    """Return `config` without the places of data and ledgers."""
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"root": ""}),
            "privacy": config.privacy.model_copy(update={"ledgers": ""}),
        }
    )
