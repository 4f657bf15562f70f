"""`fedgan evaluate`: the scores that the run itself found, again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


def test_json_is_one_document_with_the_runs_own_scores(
    fedgan: Callable, finished: tuple[Path, str], run_copy: Path
) -> None:
    result = fedgan("evaluate", run_copy, "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out) == {
        "run": str(run_copy),
        "generated": 200,
        "test_records": 360,
        "metrics": json.loads(finished[1])["metrics"],
    }


def test_the_table_shows_the_score(fedgan: Callable, finished: tuple[Path, str], run_copy: Path) -> None:
    result = fedgan("evaluate", run_copy)
    score = json.loads(finished[1])["metrics"]["logistic_regression"]
    line = next(line for line in result.out.splitlines() if "logistic_regression" in line)
    assert f" {score:.4f} " in line
    assert "trained on 200 generated images, tested on 360 held-out real ones\n" in result.out


def test_scores_are_kept_beside_earlier_ones(fedgan: Callable, run_copy: Path) -> None:
    file = run_copy / "evaluation.json"
    document = json.loads(file.read_text())
    document["metrics"] = {"earlier": 0.5}
    file.write_text(json.dumps(document))
    assert fedgan("evaluate", run_copy, "--json").code == 0
    metrics = json.loads(file.read_text())["metrics"]
    assert list(metrics) == ["earlier", "logistic_regression"]
    assert metrics["earlier"] == 0.5


@pytest.mark.parametrize("metrics", ["logistic", "logistic_regression,nn", ",", "cnn,"])
def test_an_unknown_metric_is_refused(refused: Callable, contents: Callable, run: Path, metrics: str) -> None:
    before = contents(run)
    line = refused("evaluate", run, "--metrics", metrics)
    assert "is unknown: " in line
    assert "accepted are cnn, logistic_regression" in line
    assert contents(run) == before


@pytest.mark.privacy
def test_no_budget_is_spent(fedgan: Callable, contents: Callable, run_copy: Path) -> None:
    before = contents(run_copy / "ledgers")
    fedgan("evaluate", run_copy)
    assert contents(run_copy / "ledgers") == before
