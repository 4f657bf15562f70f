"""`fedgan audit verify`: exit code 4 and the first bad line, or that everything holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.privacy


def test_a_finished_run_holds(fedgan: Callable, run: Path) -> None:
    result = fedgan("audit", "verify", run)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        "3 ledgers hold, 12 lines",
        f"{run}: card and checkpoints fit the weights and the ledgers",
    ]


def test_json_has_a_fixed_form(fedgan: Callable, run: Path) -> None:
    result = fedgan("audit", "verify", run, "--json")
    document = json.loads(result.out)
    assert list(document) == ["intact", "ledgers", "runs", "faults", "warnings", "signed"]
    assert (document["intact"], document["faults"], document["warnings"]) == (True, [], [])
    assert document["runs"] == [str(run)]
    path = run / "ledgers" / "client-00000.jsonl"
    head = json.loads(path.read_text().splitlines()[-1])["hash"]
    assert document["ledgers"][0] == {"client": "00000", "path": str(path), "lines": 4, "charges": 3, "head": head}


@pytest.mark.parametrize("as_json", [False, True])
def test_the_first_bad_line_is_named(fedgan: Callable, run_copy: Path, as_json: bool) -> None:
    path = run_copy / "ledgers" / "client-00001.jsonl"
    path.write_text(path.read_text().replace('"round":1', '"round":9'))
    weights = run_copy / "generator.safetensors"
    weights.write_bytes(weights.read_bytes() + b"0")
    result = fedgan("audit", "verify", run_copy, *(["--json"] if as_json else []))
    assert result.code == 4
    *others, last = result.err.splitlines()
    assert last == f"fedgan: {path}:3: its hash does not match its content"
    if as_json:
        assert others == []
        faults = json.loads(result.out)["faults"]
        assert [(fault["path"], fault["line"]) for fault in faults] == [(str(path), 3), (str(weights), None)]
    else:
        assert len(others) == 1
        assert others[0].startswith(f"also: {weights}: its SHA-256")
        assert result.out == "2 ledgers hold, 8 lines\n"


def test_a_ledger_cut_at_its_end_shows_against_the_checkpoints(fedgan: Callable, run_copy: Path) -> None:
    path = run_copy / "ledgers" / "client-00002.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    result = fedgan("audit", "verify", run_copy)
    assert result.code == 4
    assert result.err.startswith(f"fedgan: {path}:4: this line or a later one was changed or cut: the ")
    assert fedgan("audit", "verify", path).code == 0  # on its own it looks whole


def test_paths_without_ledgers_are_refused(refused: Callable, tmp_path: Path) -> None:
    assert refused("audit", "verify", tmp_path).startswith(f"{tmp_path} holds no ledger")
