"""What was refused and why, a line each, in a file that stays at the site."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path


class Refusals:
    """Appends to a file of JSON lines.

    Args:
        path: the file; made on the first refusal, readable by its owner alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def record(self, code: str, reason: str, request: str) -> None:
        """Append that `request` (its name) was refused with `code`, which the server sees, for `reason`, which not."""
        row = {"time": datetime.now(UTC).isoformat(), "request": request, "code": code, "reason": reason}
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
