"""Records out of thin air."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulations.results.fidelity import NAME
from simulations.results.record import Record
from simulations.results.row import METRICS


@pytest.fixture
def make_record() -> Callable[..., Record]:
    def make(row: str, seed: int = 0, accuracy: float = 0.8, **changes: Any) -> Record:
        fields: dict[str, Any] = {
            "row": row,
            "seed": seed,
            "date": "2026-11-24",
            "fedgan": "0.1.0",
            "command": "fedgan simulate configs/digits.toml",
            "level": "record",
            "trust": "local",
            "epsilon": 9.994,
            "delta": 1e-5,
            "generated": 60000,
            "test_records": 10000,
            "metrics": dict.fromkeys((*METRICS, NAME), 0.5) | {"cnn": accuracy},
            "accuracy_by_class": [0.8, 0.8],
            "training_seconds": 90.0,
            "evaluation_seconds": 60.0,
            "hardware": {"cpu": "x", "cores": 2, "threads": 2, "gpu": ""},
        }
        return Record(**(fields | changes))

    return make
