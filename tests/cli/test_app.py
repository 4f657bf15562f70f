"""Exit codes, help, version, and what becomes of an error nobody expected."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
import typer

from fedgan import __version__
from fedgan.cli.app import app
from fedgan.errors import BudgetError, IntegrityError

OPTIONS = {
    "simulate": ["[CONFIG]", "--set", "--output", "--engine", "--resume", "--sign-key", "--quiet", "--json"],
    "plan": ["CONFIG", "--set", "--json"],
    "generate": ["RUN", "--count", "--labels", "--seed", "--output"],
    "evaluate": ["RUN", "--metrics", "--json"],
    "audit budget": ["PATH...", "--delta", "--accountant", "--limit", "--json"],
    "audit verify": ["PATH...", "--public-key", "--json"],
}


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from commands(command, (*path, name))


@pytest.mark.parametrize("path", list(commands(typer.main.get_command(app))), ids=" ".join)
def test_every_command_explains_itself(fedgan: Callable, path: tuple[str, ...]) -> None:
    result = fedgan(*path, "--help")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"Usage: {' '.join(['fedgan', *path])} ")
    for word in OPTIONS.get(" ".join(path), []):
        assert re.search(rf"(?m)(^|[\s|,]){re.escape(word)}($|[\s,])", result.out), word


def test_every_command_of_the_design_is_there() -> None:
    assert set(OPTIONS) <= {" ".join(path) for path in commands(typer.main.get_command(app))}


def test_a_misspelt_command_finds_the_nearest(refused: Callable) -> None:
    assert "No such command 'plna'. Did you mean 'plan'?" in refused("plna")


def test_version(fedgan: Callable) -> None:
    result = fedgan("--version")
    assert (result.code, result.out, result.err) == (0, f"fedgan {__version__}\n", "")


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("fedgan.cli.plan.load_config", fail)


def test_an_internal_error_is_one_line(refused: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, RuntimeError("first\n  second"))
    line = refused("plan", "any.toml", code=1)
    assert line == "RuntimeError: first second (run `fedgan --debug ...` for the traceback)"


@pytest.mark.parametrize(
    ("error", "code"), [(BudgetError("spent"), 3), (IntegrityError("changed"), 4), (OSError(28, "disk full"), 1)]
)
@pytest.mark.parametrize("debug", [False, True])
def test_a_traceback_is_shown_on_demand_only(
    fedgan: Callable, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, debug: bool
) -> None:
    fail_with(monkeypatch, error)
    result = fedgan(*(["--debug"] if debug else []), "plan", "any.toml")
    assert (result.code, result.out) == (code, "")
    assert ("Traceback" in result.err) is debug
    assert result.err.splitlines()[-1].startswith("fedgan: ")


def test_an_interruption_is_no_traceback(refused: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, KeyboardInterrupt())
    assert refused("plan", "any.toml", code=130) == "interrupted; a run goes on with --resume"


def test_the_installed_command_runs() -> None:
    command = Path(sys.executable).with_name("fedgan")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"fedgan {__version__}\n", "")
