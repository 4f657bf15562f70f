"""`fedgan evaluate`: the scores that the run itself found, again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fedgan.data import DATASETS, is_public
from fedgan.evaluation import network
from fedgan.federation.assessment import what_is_read


@pytest.fixture
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """What classifiers learn from a tiny run's images is next to nothing anyway."""
    monkeypatch.setattr(network, "EPOCHS", 1)
    monkeypatch.setattr(network, "STEPS", 5)


READ = "held-out test set of digits (a public benchmark), 360 images; read without noise, not covered by epsilon"


def test_only_published_benchmarks_are_called_public() -> None:
    public = {name for name in DATASETS.names() if is_public(name)}
    assert public == {"celeba", "cifar10", "digits", "fashion_mnist", "mnist", "omniglot"}
    assert what_is_read("npz", 12) == "held-out test set of npz, 12 images; read without noise, not covered by epsilon"


def test_json_is_one_document_with_the_runs_own_scores(
    fedgan: Callable, finished: tuple[Path, str], run_copy: Path
) -> None:
    result = fedgan("evaluate", run_copy, "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out) == {
        "run": str(run_copy),
        "generated": 200,
        "real": READ,
        "test_records": 360,
        "metrics": json.loads(finished[1])["metrics"],
    }


def test_the_table_shows_the_score(fedgan: Callable, finished: tuple[Path, str], run_copy: Path) -> None:
    result = fedgan("evaluate", run_copy)
    score = json.loads(finished[1])["metrics"]["logistic_regression"]
    line = next(line for line in result.out.splitlines() if "logistic_regression" in line)
    assert f" {score:.4f} " in line
    assert "0 to 1, more is better" in line
    assert f"200 generated images against real ones: {READ}\n" in result.out
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
    assert document["real"] == READ
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


@pytest.mark.usefixtures("short_training")
def test_classes_are_a_table_a_document_and_a_picture(fedgan: Callable, run_copy: Path, tmp_path: Path) -> None:
    plot = tmp_path / "classes.png"
    result = fedgan("evaluate", run_copy, "--metrics", "cnn", "--plot", plot, "--json")
    assert (result.code, result.err) == (0, "")
    document = json.loads(result.out)
    classes = document["classes"]
    assert len(classes["confusion"]) == len(classes["accuracy"]) == 10
    assert sum(map(sum, classes["confusion"])) == 200
    assert sum(map(sum, classes["mistaken"])) == 360
    assert document["metrics"]["cnn"] * 360 == pytest.approx(
        sum(classes["mistaken"][label][label] for label in range(10))
    )
    assert json.loads((run_copy / "evaluation.json").read_text())["classes"] == classes
    assert plot.read_bytes().startswith(b"\x89PNG")
    table = fedgan("evaluate", run_copy, "--metrics", "cnn", "--classes").out
    line = next(line for line in table.splitlines() if re.match(r"\W*7\W", line))
    assert f" {classes['recognised'][7]:.3f} " in line
    fedgan("evaluate", run_copy)
    assert json.loads((run_copy / "evaluation.json").read_text())["classes"] == classes


def test_what_says_nothing_or_would_be_no_png_is_refused(refused: Callable, run_copy: Path, tmp_path: Path) -> None:
    before = (run_copy / "evaluation.json").read_bytes()
    assert "evaluation.metrics = ''" in refused("evaluate", run_copy, "--metrics", "")
    assert "confusion.pdf: give a name that ends in .png" in refused(
        "evaluate", run_copy, "--plot", tmp_path / "confusion.pdf"
    )
    assert not (tmp_path / "confusion.pdf").exists()
    assert (run_copy / "evaluation.json").read_bytes() == before


def test_fid_without_inceptions_weights_is_one_line(refused: Callable, run: Path, tmp_path: Path) -> None:
    line = refused("evaluate", run, "--metrics", "fid", "--inception-weights", tmp_path / "absent.pth")
    assert "absent.pth cannot be read: No such file or directory" in line


@pytest.mark.privacy
@pytest.mark.usefixtures("short_training")
def test_no_training_record_is_read_unless_it_is_asked_for(
    fedgan: Callable, run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fedgan.federation import private_reads

    monkeypatch.setattr(private_reads, "PrivateReads", lambda *_: pytest.fail("training records were read"))
    result = fedgan("evaluate", run_copy, "--classes", "--json")
    assert result.code == 0
    assert "private_reads" not in json.loads(result.out)
