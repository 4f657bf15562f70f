"""What one run of a row left behind: a JSON file and a PNG of samples."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from fedgan.errors import IntegrityError
from fedgan.files import write_text

FOLDER = Path("docs/results")
"""Where the records lie, below the project's root."""


@dataclass(frozen=True)
class Record:
    """One run.

    Attributes:
        row, seed: which.
        date: of the run, such as "2026-11-24".
        fedgan: the version.
        command: what trained it; "" where real images were judged.
        level, trust, epsilon, delta: what was promised, and epsilon as `fedgan audit budget` recomputed it from the
            ledgers; None without a guarantee.
        generated, test_records: images compared.
        metrics: scores by name.
        accuracy_by_class: of the CNN trained on generated images, on the real test images of each class.
        training_seconds, evaluation_seconds: by the clock.
        hardware: what it ran on.
        stopped: why it ended early, or "".
        commit, judging_commit: of the checkouts that trained and that judged it (`origin.commit_of`): None where there
            was no git, "" where nobody wrote it down, as in older records.
        configuration: `origin.digest` of what was run; "" in older records.
    """

    row: str
    seed: int
    date: str
    fedgan: str
    command: str
    level: str
    trust: str | None
    epsilon: float | None
    delta: float | None
    generated: int
    test_records: int
    metrics: dict[str, float]
    accuracy_by_class: list[float | None]
    training_seconds: float
    evaluation_seconds: float
    hardware: dict[str, str | int | float]
    stopped: str = ""
    commit: str | None = ""
    judging_commit: str | None = ""
    configuration: str = ""


def record_path(folder: Path, row: str, seed: int) -> Path:
    """Return the JSON file of a run; its samples lie beside it with the suffix .png."""
    return folder / f"{row}.seed-{seed}.json"


def write_record(folder: Path, record: Record) -> Path:
    """Write `record` and return its file."""
    path = record_path(folder, record.row, record.seed)
    write_text(path, json.dumps(asdict(record), indent=2) + "\n")
    return path


def read_records(folder: Path) -> dict[str, list[Record]]:
    """Return every record in `folder` by row, in the order of seeds.

    Raises:
        IntegrityError: a file holds no record, or another one than its name says.
    """
    found: dict[str, list[Record]] = {}
    for path in folder.glob("*.json"):
        try:
            record = Record(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise IntegrityError(f"{path}: no record of a run: {error}") from None
        if record_path(folder, record.row, record.seed) != path:
            raise IntegrityError(f"{path}: it holds row {record.row!r}, seed {record.seed}")
        found.setdefault(record.row, []).append(record)
    return {row: sorted(records, key=lambda record: record.seed) for row, records in found.items()}
