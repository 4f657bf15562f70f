"""The run folder: where everything that a run writes lies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedgan.errors import UsageError
from fedgan.files import append_line, write_text


class RunFolder:
    """Paths of a run, and its line-by-line metrics."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.toml"
        self.metrics = path / "metrics.jsonl"
        self.ledgers = path / "ledgers"
        self.checkpoints = path / "checkpoints"
        self.samples = path / "samples"
        self.generator = path / "generator.safetensors"
        self.card = path / "generator.json"
        self.evaluation = path / "evaluation.json"
        self.budget_picture = path / "budget.png"
        self.parts = path / "parts"

    @classmethod
    def unused(cls, path: Path) -> RunFolder:
        """Return the folder of a run to come; raises UsageError if `path` already holds a run."""
        folder = cls(path)
        if folder.config.exists():
            raise UsageError(f"{path} already holds a run: give another --output, or --resume to continue that one")
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Return the folder of an existing run; raises UsageError if `path` holds none."""
        folder = cls(path)
        if not folder.config.is_file():
            raise UsageError(f"{path} holds no run: there is no {folder.config.name} in it")
        return folder

    @classmethod
    def of_run(cls, path: Path) -> RunFolder:
        """Return the folder of a run that was trained; raises UsageError for anything else, a fused generator too."""
        folder = cls.open(path)
        if folder.is_fused:
            raise UsageError(f"{path} holds a fused generator: name the runs that it was made of")
        return folder

    @property
    def is_fused(self) -> bool:
        """Whether this is the folder of a generator made of several runs'."""
        return self.parts.is_dir()

    def create(self, config_toml: str) -> None:
        """Begin the run by writing its configuration; raises UsageError if the folder cannot be written."""
        try:
            write_text(self.config, config_toml)
        except OSError as error:
            raise UsageError(f"--output {self.path}: cannot write there: {error.strerror}") from None

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl."""
        append_line(self.metrics, json.dumps(row))

    def read_metrics(self) -> list[dict[str, Any]]:
        """Return the lines of metrics.jsonl; a line torn by a crash is left out."""
        if not self.metrics.exists():
            return []
        rows = []
        for line in self.metrics.read_text(encoding="utf-8").split("\n"):
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return rows

    def keep_metrics_until(self, last_round: int) -> None:
        """Drop the lines of rounds after `last_round`, which a resumed run will repeat."""
        rows = [row for row in self.read_metrics() if row["round"] <= last_round]
        write_text(self.metrics, "".join(json.dumps(row) + "\n" for row in rows))
