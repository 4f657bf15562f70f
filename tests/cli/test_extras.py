"""What needs an extra that is not installed is refused in one line, before any work is done."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fedgan.errors import UsageError
from fedgan.extras import require_extra

EVALUATION = "evaluation.metrics = 'recall' needs torch-fidelity: pip install 'fedgan[evaluation]'"


@pytest.fixture
def without_torch_fidelity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)  # as if it were not installed


@pytest.mark.usefixtures("without_torch_fidelity")
@pytest.mark.parametrize("command", ["simulate", "plan"])
def test_a_metric_without_its_extra_is_refused_before_training(
    refused: Callable, config: Path, tiny: list[str], tmp_path: Path, command: str
) -> None:
    output = ["--output", tmp_path / "run"] if command == "simulate" else []
    line = refused(command, config, *tiny, "--set", "evaluation.metrics=logistic_regression,recall", *output)
    assert line == f"--set: {EVALUATION}"
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("without_torch_fidelity")
def test_evaluate_without_the_extra_is_refused_and_other_metrics_are_not(
    refused: Callable, fedgan: Callable, contents: Callable, run_copy: Path
) -> None:
    before = contents(run_copy)
    assert refused("evaluate", run_copy, "--metrics", "logistic_regression,recall") == EVALUATION
    assert contents(run_copy) == before
    assert fedgan("evaluate", run_copy, "--metrics", "logistic_regression", "--json").code == 0


def test_explain_without_its_extra_is_refused(
    refused: Callable, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)  # as if it were not installed
    line = refused("explain", run, "--output", tmp_path / "x.png")
    assert line == "fedgan explain needs captum: pip install 'fedgan[explanation]'"
    assert not (tmp_path / "x.png").exists()


def test_an_extra_is_looked_for_and_not_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "some_extra.py").write_text("raise AssertionError")
    with pytest.raises(UsageError, match=r"^this needs some-extra: pip install 'fedgan\[thing\]'$"):
        require_extra("thing", package="some-extra", wanted_by="this")
    monkeypatch.syspath_prepend(str(tmp_path))
    require_extra("thing", package="some-extra", wanted_by="this")
    assert "some_extra" not in sys.modules
