"""The suite of mutants tells what the tests noticed from what they did not, and from what shows nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from simulations.mutants.__main__ import main
from simulations.mutants.mutant import Mutant, NotPlantable, mutated, planted
from simulations.mutants.runner import BrokenBaseline, run_suite
from simulations.mutants.verdicts import Verdict

pytestmark = pytest.mark.privacy

NO_NOISE = Mutant(
    name="no-noise",
    breaks="a sum carries noise",
    file="fedgan/total.py",
    before="+ NOISE",
    after="+ 0",
    killed_by=("tests/test_total.py::test_noise", "tests/test_total.py::test_both"),
)
SAME_SIZE = replace(NO_NOISE, name="same-size", before="NOISE = 3", after="NOISE = 0")
HARMLESS = replace(NO_NOISE, name="harmless", after="+ NOISE  # as it was")
UNNOTICED = replace(NO_NOISE, name="unnoticed", killed_by=("tests/test_total.py::test_length",))
HALF_NOTICED = replace(NO_NOISE, name="half-noticed", killed_by=(*NO_NOISE.killed_by, *UNNOTICED.killed_by))
MOVED = replace(NO_NOISE, name="moved", before="+ OLD_NAME")
AMBIGUOUS = replace(NO_NOISE, name="ambiguous", before="NOISE")
LOST = replace(NO_NOISE, name="lost", file="fedgan/gone.py")
NO_PYTHON = replace(NO_NOISE, name="no-python", after="+ (")
NO_IMPORT = replace(NO_NOISE, name="no-import", before="NOISE = 3", after="NOISE = undefined")
NO_NAME = replace(NO_NOISE, name="no-name", after="+ undefined")
DECLARED = replace(NO_NAME, name="declared", dies_of=("NameError",))
NO_FIXTURE = replace(NO_NOISE, name="no-fixture", after="+ undefined", killed_by=("tests/test_total.py::test_fixture",))
ENDLESS = replace(NO_NOISE, name="endless", before="    return", after="    while True: pass\n    return")
LOADED = ("hypothesis",)  # what the observer imports: longer than these tests

SOURCE = """NOISE = 3


def total(values):
    return sum(values) + NOISE
"""
TESTS = """import pytest
from fedgan.total import total


def test_noise():
    assert total([1, 2]) != 3


@pytest.mark.parametrize("value", [1, 2])
def test_both(value):
    assert total([value]) == value + 3


def test_length():
    assert total([1]) > 0


@pytest.fixture
def known():
    return total([1])


def test_fixture(known):
    assert known == 4


def test_broken():
    assert total([]) == 0
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose one promise is that a sum carries noise."""
    root = tmp_path_factory.mktemp("project")
    files = {
        "fedgan/__init__.py": "",
        "fedgan/total.py": SOURCE,
        "tests/test_total.py": TESTS,
        "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-q --import-mode=importlib"\n',
    }
    for name, content in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(content)
    return root


def verdicts(root: Path, *mutants: Mutant, timeout: float = 60.0) -> dict[str, tuple[Verdict, str]]:
    results = run_suite(mutants, root=root, jobs=1, timeout=timeout, libraries=LOADED)
    return {result.mutant.name: (result.verdict, result.reason) for result in results}


SURVIVORS = [(HARMLESS, "test_noise"), (UNNOTICED, "test_length"), (HALF_NOTICED, "test_length")]
NOT_PLANTABLE = [
    (MOVED, "occurs 0 times"),
    (AMBIGUOUS, "occurs 2 times"),
    (LOST, "does not exist"),
    (NO_PYTHON, "fedgan/total.py:5: the changed text is no Python"),
]
BROKEN = [
    (NO_IMPORT, "ERROR tests/test_total.py - NameError"),
    (NO_NAME, "an exception that is not declared: NameError"),
    (NO_FIXTURE, "test_fixture could not run: NameError"),
]


def names(cases: list[tuple[Mutant, str]]) -> list[str]:
    return [mutant.name for mutant, _ in cases]


@pytest.fixture(scope="module")
def found(root: Path) -> dict[str, tuple[Verdict, str]]:
    """What a suite of all kinds of mutants finds, in an order in which one might spoil the next."""
    cases = [mutant for mutant, _ in (*BROKEN, *NOT_PLANTABLE, *SURVIVORS)]
    return verdicts(root, SAME_SIZE, DECLARED, *cases, NO_NOISE)


def test_a_mutant_is_killed_when_every_named_test_fails(found: dict[str, tuple[Verdict, str]]) -> None:
    assert found["no-noise"] == (Verdict.KILLED, "3 failed")


def test_a_mutant_as_long_as_what_it_replaces_is_no_compiled_original(found: dict[str, tuple[Verdict, str]]) -> None:
    assert found["same-size"] == (Verdict.KILLED, "3 failed")


@pytest.mark.parametrize(("mutant", "survivor"), SURVIVORS, ids=names(SURVIVORS))
def test_a_mutant_that_a_named_test_passes_survives(
    found: dict[str, tuple[Verdict, str]], mutant: Mutant, survivor: str
) -> None:
    verdict, reason = found[mutant.name]
    assert verdict is Verdict.SURVIVED
    assert f"{survivor} passed" in reason


@pytest.mark.parametrize(("mutant", "words"), NOT_PLANTABLE, ids=names(NOT_PLANTABLE))
def test_a_mutant_that_cannot_be_planted_is_an_error(
    found: dict[str, tuple[Verdict, str]], root: Path, mutant: Mutant, words: str
) -> None:
    with pytest.raises(NotPlantable, match=words):
        mutated(mutant, root)
    verdict, reason = found[mutant.name]
    assert verdict is Verdict.ERROR
    assert words in reason


@pytest.mark.parametrize(("mutant", "words"), BROKEN, ids=names(BROKEN))
def test_failing_otherwise_than_by_an_assertion_is_an_error(
    found: dict[str, tuple[Verdict, str]], mutant: Mutant, words: str
) -> None:
    verdict, reason = found[mutant.name]
    assert verdict is Verdict.ERROR
    assert words in reason


def test_an_exception_that_is_declared_kills(found: dict[str, tuple[Verdict, str]]) -> None:
    assert found["declared"][0] is Verdict.KILLED


def test_tests_that_take_too_long_are_an_error(root: Path) -> None:
    verdict, reason = verdicts(root, ENDLESS, timeout=3.0)["endless"]
    assert (verdict, reason) == (Verdict.ERROR, "its tests took longer than 3 s")


@pytest.mark.parametrize("test", ["test_broken", "test_that_is_not_there"])
def test_tests_that_fail_without_a_mutant_show_nothing(root: Path, test: str) -> None:
    with pytest.raises(BrokenBaseline, match=test):
        verdicts(root, replace(NO_NOISE, killed_by=(f"tests/test_total.py::{test}",)))


def test_a_test_process_that_cannot_start_is_an_error(root: Path) -> None:
    with pytest.raises(RuntimeError, match="has ended"):
        list(run_suite([NO_NOISE], root=root, jobs=1, timeout=60.0, libraries=("no_such_library",)))


def test_a_planted_change_is_taken_back(root: Path) -> None:
    file = root / "fedgan" / "total.py"
    with pytest.raises(OSError, match="inside"), planted(NO_NOISE, root):
        assert file.read_text() == SOURCE.replace("+ NOISE", "+ 0")
        raise OSError("inside")
    assert file.read_text() == SOURCE


@pytest.fixture
def suite(root: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run the command line on a killed and a surviving mutant; return its exit code and what it printed."""

    def call(*arguments: str) -> tuple[int, str]:
        code = main([NO_NOISE, UNNOTICED], root, arguments, libraries=LOADED)
        return code, capsys.readouterr().out

    return call


def test_a_survivor_is_printed_and_fails_the_suite(suite: Callable[..., tuple[int, str]]) -> None:
    code, printed = suite()
    assert code == 1
    lines = printed.splitlines()
    assert lines[0].startswith("killed ")
    assert lines[0].endswith(" s  no-noise: a sum carries noise")
    assert any(line.startswith("survived ") and " unnoticed: " in line for line in lines)
    assert lines[-1] == "1 passed, 1 failed"


def test_one_mutant_alone_as_json(suite: Callable[..., tuple[int, str]]) -> None:
    code, printed = suite("--only", "no-noise", "--json")
    document = json.loads(printed)
    assert (code, document["passed"], document["failed"]) == (0, 1, 0)
    [mutant] = document["mutants"]
    assert mutant.pop("seconds") > 0
    assert mutant == {
        "name": "no-noise",
        "breaks": "a sum carries noise",
        "file": "fedgan/total.py",
        "killed_by": list(NO_NOISE.killed_by),
        "verdict": "killed",
        "reason": "3 failed",
    }


def test_an_unknown_name_is_wrong_usage(
    suite: Callable[..., tuple[int, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        suite("--only", "no-such-bug")
    assert "the names are no-noise, unnoticed" in capsys.readouterr().err
