"""How often each part of a fused generator is drawn from: fixed without a look at private records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from fedgan.audit.budget import audit_budget
from fedgan.errors import UsageError, bad_value

_ACCEPTED = "'uniform', 'records', or a number greater than 0 for each run, joined by commas"


def weights_of(choice: str, runs: Sequence[Path]) -> tuple[float, ...]:
    """Return weights > 0 of `runs`, whose sum is 1.

    Args:
        choice: "uniform"; "records", by how many records the clients of each run hold, which is public and stands in
            their ledgers; or a number for each run, joined by commas.
        runs: the run folders.

    Raises:
        UsageError: another choice, not a number for each run, or records that no ledger counts.
    """
    if choice == "uniform":
        numbers = [1.0] * len(runs)
    elif choice == "records":
        numbers = [_records(run) for run in runs]
    else:
        numbers = _given(choice, len(runs))
    total = math.fsum(numbers)
    return tuple(number / total for number in numbers)


def _given(choice: str, count: int) -> list[float]:
    try:
        numbers = [float(word) for word in choice.split(",")]
    except ValueError:
        raise bad_value("--weights", choice, _ACCEPTED) from None
    if len(numbers) != count or not all(1e-6 < number / max(numbers) <= 1 for number in numbers):
        raise bad_value("--weights", choice, f"{_ACCEPTED}: {count} of them, none under a millionth of another")
    return numbers


def _records(run: Path) -> float:
    try:
        return float(sum(client.records for client in audit_budget([run]).clients))
    except UsageError as error:
        raise UsageError(f"--weights records: {error}") from None
