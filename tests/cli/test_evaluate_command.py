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
    assert "0 to 1, more is better" in line
    assert "200 generated images, 360 held-out real ones:\n" in result.out
    assert "  logistic_regression: accuracy on the held-out test set of logistic regression " in result.out


def test_a_distance_is_no_accuracy(fedgan: Callable, run_copy: Path) -> None:
    result = fedgan("evaluate", run_copy, "--metrics", "frechet_distance,precision")
    lines = [line for line in result.out.splitlines() if "frechet_distance" in line]
    document = json.loads((run_copy / "evaluation.json").read_text())
    assert "0 at best, less is better" in lines[0]
    assert f" {document['metrics']['frechet_distance']:.4g} " in lines[0]
    assert lines[1] == f"  frechet_distance: {document['meaning']['frechet_distance']} (0 at best, less is better)"
    assert "(not Inception: no FID)" in document["meaning"]["frechet_distance"]
    assert 0 <= document["metrics"]["precision"] <= 1 and document["metrics"]["frechet_distance"] > 0


def test_the_file_says_what_each_score_means(run: Path) -> None:
    document = json.loads((run / "evaluation.json").read_text())
    assert document["real"] == "held-out test set, public"
    assert list(document["meaning"]) == list(document["metrics"]) == ["logistic_regression"]


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
    assert "accepted are cnn, coverage, density, duplicates, fid, frechet_distance, " in line
    assert contents(run) == before


@pytest.mark.privacy
def test_no_budget_is_spent(fedgan: Callable, contents: Callable, run_copy: Path) -> None:
    before = contents(run_copy / "ledgers")
    fedgan("evaluate", run_copy)
    assert contents(run_copy / "ledgers") == before
