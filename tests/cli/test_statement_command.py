"""`fedgan audit statement`: writes one page, whole, without torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.privacy

WITHOUT_TORCH = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "flwr", "opacus", "matplotlib"):
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
from fedgan.cli import main
main()
"""


def test_a_page_is_written_without_torch(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "new" / "statement.html"
    arguments = [sys.executable, "-c", WITHOUT_TORCH, "audit", "statement", str(run), "--output", str(page)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"statement: {page}\n"
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [file.name for file in page.parent.iterdir()] == ["statement.html"]


def test_bad_output_is_refused(refused: Callable, run: Path, tmp_path: Path) -> None:
    assert "ends in .html" in refused("audit", "statement", run, "--output", tmp_path / "page.pdf")
    (tmp_path / "file").write_text("")
    assert "cannot write there" in refused("audit", "statement", run, "--output", tmp_path / "file" / "page.html")


def test_a_damaged_ledger_gives_no_page(refused: Callable, run_copy: Path, tmp_path: Path) -> None:
    ledger = run_copy / "ledgers" / "client-00001.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b'"records":479', b'"records":470', 1))
    said = refused("audit", "statement", run_copy, "--output", tmp_path / "page.html", code=4)
    assert "client-00001.jsonl:1" in said
    assert not (tmp_path / "page.html").exists()
