"""Tests that have just passed need not pass again before mutants are planted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from simulations.mutants.report import passed_in

pytestmark = pytest.mark.privacy

TESTS = """
import pytest

@pytest.mark.parametrize("word", ["a", "b<c>&", "failing"])
def test_words(word):
    assert word != "failing"

class TestInside:
    def test_passes(self):
        pass

    @pytest.mark.skip
    def test_skipped(self):
        pass

@pytest.fixture
def broken():
    raise RuntimeError

def test_without_its_fixture(broken):
    pass
"""


def report(folder: Path, family: str) -> Path:
    (folder / "tests").mkdir()
    (folder / "tests" / "test_it.py").write_text(TESTS)
    file = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={file}", "tests"]
    subprocess.run([*command, "-o", f"junit_family={family}"], cwd=folder, capture_output=True, check=False)
    return file


def test_those_that_passed_are_named_as_pytest_names_them(tmp_path: Path) -> None:
    file = "tests/test_it.py::"
    expected = {f"{file}test_words[a]", f"{file}test_words[b<c>&]", f"{file}TestInside::test_passes"}
    assert passed_in(report(tmp_path, "xunit1")) == expected


def test_a_report_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="run pytest with -o junit_family=xunit1"):
        passed_in(report(tmp_path, "xunit2"))
    with pytest.raises(ValueError, match="no report of pytest"):
        passed_in(tmp_path / "missing.xml")
