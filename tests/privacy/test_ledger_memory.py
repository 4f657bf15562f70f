"""Opening a ledger again costs its new lines, and a change of an old one is found all the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from fedgan.errors import IntegrityError
from fedgan.privacy import ledger_memory, ledger_scan
from fedgan.privacy.events import Gaussian
from fedgan.privacy.ledger import Ledger, read_ledger

pytestmark = pytest.mark.privacy

OWNER: dict[str, Any] = {"client": "00000", "dataset": b"digest", "records": 100}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "client-00000.jsonl"


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The lines that were checked since they were last cleared."""
    seen: list[bytes] = []
    short_cut = ledger_scan._short_cut
    monkeypatch.setattr(ledger_scan, "_short_cut", lambda raw, before: (seen.append(raw), short_cut(raw, before))[1])
    return seen


def charge(path: Path, times: int = 1) -> None:
    for _ in range(times):
        with Ledger.open(path, **OWNER) as ledger:
            ledger.charge(Gaussian(2.0), run="run", round=1, clip=1.0, noise_std=2.0, delta=1e-5)


def test_a_charge_checks_the_new_lines_alone(path: Path, checked: list[bytes]) -> None:
    charge(path, 20)
    checked.clear()
    charge(path, 3)
    assert len(checked) == 3
    with Ledger.open(path, **OWNER) as ledger:
        assert ledger.lines == read_ledger(path)
        assert len(ledger.events) == 23


def test_a_change_anywhere_in_what_was_verified_is_found(path: Path) -> None:
    charge(path, 3)
    Ledger.open(path, **OWNER).close()
    original, stat = path.read_bytes(), path.stat()
    for position in range(0, len(original), 7):
        content = bytearray(original)
        content[position] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        with pytest.raises(IntegrityError):
            Ledger.open(path, **OWNER)
    path.write_bytes(original)
    Ledger.open(path, **OWNER).close()


def test_a_fault_after_what_was_verified_names_its_line(path: Path) -> None:
    charge(path, 3)
    Ledger.open(path, **OWNER).close()
    path.write_bytes(path.read_bytes() + b"{}\n")
    with pytest.raises(IntegrityError, match=r"client-00000\.jsonl:5: "):
        Ledger.open(path, **OWNER)


def test_a_ledger_that_lost_its_end_is_read_as_it_stands(path: Path) -> None:
    charge(path, 3)
    Ledger.open(path, **OWNER).close()
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    with Ledger.open(path, **OWNER) as ledger:
        assert len(ledger.events) == 1


def test_what_is_done_to_an_open_ledgers_lines_is_not_remembered(path: Path) -> None:
    charge(path, 2)
    with Ledger.open(path, **OWNER) as ledger:
        ledger.lines.clear()
    with Ledger.open(path, **OWNER) as ledger:
        assert len(ledger.events) == 2


def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_memory, "MOST_LINES", 10)
    monkeypatch.setattr(ledger_memory, "_verified", type(ledger_memory._verified)())
    for number in range(6):
        charge(tmp_path / f"{number}.jsonl", 3)
        assert sum(len(lines) for _, lines in ledger_memory._verified.values()) <= 10
    assert list(ledger_memory._verified)[-1] == (tmp_path / "5.jsonl").absolute()
