"""How a run on separate machines ended, in a file: its server is a process of Flower's, which tells nobody."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from fedgan.files import write_text
from fedgan.runs import RunFolder


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Attributes:
        code: exit code of the error, 0 for none.
        words: the error, or why the run stopped before its last round; "" for neither.
    """

    code: int
    words: str


def outcome_file(folder: RunFolder) -> Path:
    """Return the file in which the outcome of a run in `folder` is written until it is read."""
    return folder.path / ".outcome.json"


def write_outcome(folder: RunFolder, *, code: int, words: str) -> None:
    """Write how the run ended."""
    write_text(outcome_file(folder), json.dumps({"code": code, "words": words}) + "\n")


def take_outcome(folder: RunFolder) -> Ending | None:
    """Return how the run ended and remove the file; None while it goes on."""
    path = outcome_file(folder)
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    return Ending(int(found["code"]), str(found["words"]))
