"""One tiny finished run for all tests of the command line, and a way to call it in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from fedgan.cli.app import main

ROOT = Path(__file__).parents[2]

TINY = {
    "threads": 1,
    "partition.clients": 3,
    "partition.scheme": "iid",
    "federation.rounds": 2,
    "federation.local_steps": 3,
    "training.warm_start_steps": 20,
    "training.warm_start_features": 60,
    "evaluation.count": 200,
    "evaluation.metrics": "logistic_regression",
}


@dataclass(frozen=True)
class Result:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def config() -> Path:
    """The configuration of the demo."""
    return ROOT / "configs" / "digits.toml"


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Options that make the demo tiny."""
    return [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, config: Path, tiny: list[str]) -> tuple[Path, str]:
    """The folder of a finished tiny run and the JSON that it printed; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    printed = StringIO()
    with redirect_stdout(printed), pytest.raises(SystemExit) as exit_of:
        main(["simulate", str(config), *tiny, "--output", str(folder), "--json"])
    assert exit_of.value.code == 0
    return folder, printed.getvalue()


@pytest.fixture(scope="session")
def run(finished: tuple[Path, str]) -> Path:
    """The folder of a finished tiny run; not to be changed."""
    return finished[0]


@pytest.fixture
def run_copy(run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may change."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


@pytest.fixture
def fedgan(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Call the command line in this process."""

    def call(*arguments: object) -> Result:
        capfd.readouterr()
        with pytest.raises(SystemExit) as exit_of:
            main([str(argument) for argument in arguments])
        said = capfd.readouterr()
        assert isinstance(exit_of.value.code, int)
        return Result(exit_of.value.code, said.out, said.err)

    return call


@pytest.fixture
def refused(fedgan: Callable[..., Result]) -> Callable[..., str]:
    """Call a command that must end with `code`, say nothing on stdout, and one line on stderr: return that line."""

    def call(*arguments: object, code: int = 2) -> str:
        result = fedgan(*arguments)
        assert result.out == ""
        assert result.err.startswith("fedgan: ")
        assert result.err.endswith("\n")
        assert len(result.err.splitlines()) == 1, result.err
        assert result.code == code, result.err
        return result.err.removeprefix("fedgan: ").rstrip("\n")

    return call


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, tuple[bytes, int]]]:
    """Return bytes and time of change of every file in a folder."""

    def read(folder: Path) -> dict[str, tuple[bytes, int]]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    return read
