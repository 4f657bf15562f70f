"""What an audit finds wrong, and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One fault or warning.

    Attributes:
        path: the file it is about.
        line: the line, from 1; None where it is about the whole file.
        what: what is wrong, in words.
    """

    path: Path
    line: int | None
    what: str

    def __str__(self) -> str:
        place = str(self.path) if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.what}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return {"path": str(self.path), "line": self.line, "what": self.what}
