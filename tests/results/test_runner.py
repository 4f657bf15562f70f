"""One row from its configuration to its file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from fedgan.audit.budget import audit_budget
from fedgan.errors import UsageError
from fedgan.evaluation import network
from simulations.results import runner
from simulations.results.fidelity import NAME
from simulations.results.record import read_records
from simulations.results.row import METRICS, Row

ROW = Row(
    "tiny",
    "A tiny run",
    "digits.toml",
    settings=(
        "threads=1",
        "partition.clients=2",
        "partition.scheme=iid",
        "federation.rounds=1",
        "federation.local_steps=2",
        "training.warm_start_features=60",
        "training.warm_start_steps=20",
    ),
    images=300,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "EPOCHS", 4)
    monkeypatch.setattr(network, "STEPS", 5)


def run(row: Row, folder: Path, **changes: bool) -> Path:
    return runner.run_row(row, 4, data=folder, runs=folder / "runs", results=folder / "results", **changes)


def test_a_row_is_trained_judged_and_written(tmp_path: Path) -> None:
    path = run(ROW, tmp_path)
    assert path == tmp_path / "results" / "tiny.seed-4.json"
    [record] = read_records(path.parent)["tiny"]
    audited = audit_budget([tmp_path / "runs" / "tiny-seed-4"])
    assert record.epsilon == audited.epsilon
    assert 5 < audited.epsilon <= 10
    assert (record.level, record.trust, record.delta) == ("record", "local", 1e-4)
    assert (record.generated, record.test_records) == (300, 360)
    assert set(record.metrics) == {*METRICS, NAME}
    assert record.training_seconds > 0 and record.hardware["threads"] == 1
    by_class = [share for share in record.accuracy_by_class if share is not None]
    assert len(by_class) == 10
    assert min(by_class) <= record.metrics["cnn"] <= max(by_class)
    assert Image.open(path.with_suffix(".png")).size == (90, 90)  # ten tiles of 8 pixels and a line between them


def test_a_result_is_not_replaced_by_accident(tmp_path: Path) -> None:
    path = tmp_path / "results" / "tiny.seed-4.json"
    path.parent.mkdir()
    path.write_text("{}")
    with pytest.raises(UsageError, match=r"holds this row's result with seed 4: give --replace"):
        run(ROW, tmp_path)
    assert path.read_text() == "{}"


def test_a_run_that_was_trained_elsewhere_is_judged_as_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = json.loads(run(ROW, tmp_path).read_text())
    note = tmp_path / "runs" / "tiny-seed-4" / "trained.json"
    elsewhere = {"seconds": 7.04, "hardware": {"cpu": "another", "threads": 3, "gpu": ""}, "commit": "a" * 40}
    there = json.loads(note.read_text()) | elsewhere
    note.write_text(json.dumps(there))
    monkeypatch.setattr("fedgan.federation.simulation.simulate", lambda *args, **kwargs: pytest.fail("trained again"))
    again = json.loads(run(ROW, tmp_path, replace=True).read_text())
    assert (again["training_seconds"], again["hardware"]) == (7.0, there["hardware"])
    assert (again["commit"], again["judging_commit"]) == ("a" * 40, first["commit"])
    note.write_text(json.dumps({name: value for name, value in there.items() if name != "commit"}))  # as older ones
    assert json.loads(run(ROW, tmp_path, replace=True).read_text())["commit"] == ""
    assert again["metrics"] == pytest.approx(first["metrics"])
    with pytest.raises(UsageError, match="tiny-seed-4 holds a run of another configuration"):
        run(replace(ROW, settings=(*ROW.settings, "training.warm_start_steps=21")), tmp_path, replace=True)


def test_real_images_are_judged_without_training(tmp_path: Path) -> None:
    path = run(Row("real", "Real images", "digits.toml", settings=("threads=1",), real=True, images=1000), tmp_path)
    record = json.loads(path.read_text())
    assert (record["command"], record["level"], record["epsilon"], record["training_seconds"]) == (
        "",
        "none",
        None,
        0.0,
    )
    assert record["generated"] == 1000
    assert 0.5 < record["metrics"]["cnn"] < 1  # after so short a training
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a row for a GPU runs where there is one")
def test_a_row_for_a_gpu_is_refused_without_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="device = 'cuda' is not accepted"):
        run(Row("gpu", "A GPU's", "digits.toml", gpu=True, images=300), tmp_path)
    assert not (tmp_path / "results").exists()
