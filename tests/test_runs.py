"""The run folder: one run each, and metrics that survive a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedgan.errors import UsageError
from fedgan.runs import RunFolder


def test_an_unused_folder_becomes_a_run(tmp_path: Path) -> None:
    folder = RunFolder.unused(tmp_path / "run")
    assert not folder.path.exists()
    folder.create("seed = 1\n")
    assert RunFolder.open(tmp_path / "run").config.read_text() == "seed = 1\n"


def test_a_run_is_not_begun_twice(tmp_path: Path) -> None:
    RunFolder(tmp_path).create("seed = 1\n")
    with pytest.raises(UsageError, match="already holds a run: give another --output, or --resume"):
        RunFolder.unused(tmp_path)


@pytest.mark.parametrize("path", ["missing", "."])
def test_a_folder_without_a_run_is_not_opened(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError, match=r"holds no run: there is no config\.toml"):
        RunFolder.open(tmp_path / path)


def test_a_place_that_cannot_be_written_is_bad_usage(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--output .*file/run: cannot write there"):
        RunFolder(tmp_path / "file" / "run").create("")


def test_metrics_are_read_back_in_order(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.read_metrics() == []
    rows = [{"round": number, "fake_accuracy": 0.5} for number in range(3)]
    for row in rows:
        folder.append_metrics(row)
    assert folder.read_metrics() == rows
    assert folder.metrics.read_text().count("\n") == 3


def test_a_torn_line_of_metrics_is_left_out(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append_metrics({"round": 0})
    with folder.metrics.open("a") as file:
        file.write('{"round": 1, "fake_ac')
    assert folder.read_metrics() == [{"round": 0}]


def test_metrics_of_rounds_to_be_repeated_are_dropped(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for number in range(4):
        folder.append_metrics({"round": number})
    with folder.metrics.open("a") as file:
        file.write('{"rou')
    folder.keep_metrics_until(1)
    folder.append_metrics({"round": 2})
    assert folder.read_metrics() == [{"round": 0}, {"round": 1}, {"round": 2}]
