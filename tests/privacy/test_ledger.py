"""The ledger keeps every charge, shows every change, and lets one writer in."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from fedgan.errors import FedganError, IntegrityError, UsageError
from fedgan.privacy.events import Gaussian, PoissonSampled, SelfComposed
from fedgan.privacy.ledger import Ledger, read_ledger
from fedgan.privacy.ledger_line import row_hash

pytestmark = pytest.mark.privacy

ROUND = SelfComposed(30, PoissonSampled(0.2, Gaussian(2.0)))
CHARGE: dict[str, Any] = {"run": "digits", "clip": 1.0, "noise_std": 2.0, "delta": 1e-5}
OWNER: dict[str, Any] = {"client": "00000", "dataset": b"digest of the records", "records": 287}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledgers" / "client-00000.jsonl"


def fill(path: Path, rounds: int = 3) -> None:
    with Ledger.open(path, **OWNER) as ledger:
        for number in range(rounds):
            ledger.charge(ROUND, round=number + 1, **CHARGE)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_have_the_documented_form(path: Path) -> None:
    fill(path, rounds=1)
    opening, charge = rows(path)
    assert " ".join(charge) == (
        "version sequence time client run round dataset records event clip noise_std delta previous hash"
    )
    assert set(opening) == set(charge) - {"run", "round", "event", "clip", "noise_std", "delta"}
    assert (opening["version"], opening["sequence"], opening["previous"]) == (1, 0, "0" * 64)
    assert (charge["sequence"], charge["previous"]) == (1, opening["hash"])
    assert charge["event"] == ROUND.to_dict()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", charge["time"])
    bare = {key: value for key, value in charge.items() if key != "hash"}
    assert charge["hash"] == sha256(json.dumps(bare, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def test_what_was_charged_is_read_back(path: Path) -> None:
    with Ledger.open(path, **OWNER) as ledger:
        assert ledger.events == ()
        head = ledger.charge(ROUND, round=1, **CHARGE)
        assert head == ledger.head
        assert ledger.events == (ROUND,)
    lines = read_ledger(path)
    assert [line.event for line in lines] == [None, ROUND]
    assert lines[-1].hash == head
    assert (lines[-1].client, lines[-1].records, lines[-1].delta, lines[0].delta) == ("00000", 287, 1e-5, None)


def test_level_and_trust_are_written_only_where_they_differ(path: Path) -> None:
    with Ledger.open(path, **OWNER) as ledger:
        ledger.charge(ROUND, round=1, **CHARGE, level="record", trust="local")
        ledger.charge(ROUND, round=2, **CHARGE, level="client", trust="aggregator")
        ledger.charge(ROUND, round=3, **CHARGE, trust="aggregator")
    _, plain, both, trust = rows(path)
    assert {"level", "trust"}.isdisjoint(plain)
    assert " ".join(both).endswith("noise_std delta level trust previous hash")
    assert (both["level"], both["trust"]) == ("client", "aggregator")
    assert "level" not in trust
    assert [(line.level, line.trust) for line in read_ledger(path)[1:]] == [
        ("record", "local"),
        ("client", "aggregator"),
        ("record", "aggregator"),
    ]


@pytest.mark.parametrize(
    "said",
    [{"level": "record"}, {"level": "user"}, {"level": None}, {"level": ["client"]}, {"trust": "local"}, {"trust": 1}],
)
def test_an_unknown_level_or_trust_is_refused_although_the_chain_holds(path: Path, said: dict[str, Any]) -> None:
    fill(path, rounds=1)
    opening, charge = rows(path)
    changed_rows = (opening, charge | said | {"hash": row_hash(charge | said)})
    path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in changed_rows))
    damaged(path, 2)
    opening |= {"level": "client"}
    path.write_text(json.dumps(opening | {"hash": row_hash(opening)}, separators=(",", ":")) + "\n")
    damaged(path, 1)


def test_reopening_continues_the_chain(path: Path) -> None:
    fill(path, rounds=2)
    with Ledger.open(path, **OWNER) as ledger:
        assert ledger.events == (ROUND, ROUND)
        ledger.charge(Gaussian(4.0), round=0, **CHARGE | {"run": "another"})
    assert [line.sequence for line in read_ledger(path)] == [0, 1, 2, 3]
    assert read_ledger(path)[-1].event == Gaussian(4.0)


def test_a_second_writer_is_refused_until_the_first_closes(path: Path) -> None:
    with Ledger.open(path, **OWNER), pytest.raises(UsageError, match="one writer"):
        Ledger.open(path, **OWNER)
    Ledger.open(path, **OWNER).close()


def test_the_line_is_on_the_disk_before_charge_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    fsync = os.fsync

    def observe(descriptor: int) -> None:
        fsync(descriptor)
        assert os.fstat(descriptor).st_ino == path.stat().st_ino
        seen.append(len(path.read_bytes().splitlines()))

    with Ledger.open(path, **OWNER) as ledger:
        monkeypatch.setattr(os, "fsync", observe)
        ledger.charge(ROUND, round=1, **CHARGE)
        assert seen == [2]
        ledger.charge(ROUND, round=2, **CHARGE)
        assert seen == [2, 3]


def test_the_folder_is_synced_when_files_are_made(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(stat.S_ISDIR(os.fstat(fd).st_mode)), fsync(fd))[1])
    Ledger.open(path, **OWNER).close()
    assert synced == [False, True, False, True]  # the salt, its folder, the opening line, its folder


def test_a_failed_write_closes_the_ledger(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError("no space left")

    ledger = Ledger.open(path, **OWNER)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(
            FedganError, match=r"client-00000\.jsonl: cannot be written, so nothing is computed: no space"
        ):
            ledger.charge(ROUND, round=1, **CHARGE)
    with pytest.raises(ValueError, match="closed"):
        ledger.charge(ROUND, round=1, **CHARGE)
    with Ledger.open(path, **OWNER) as again:  # the line that may have been used is kept
        assert again.events == (ROUND,)


@pytest.mark.parametrize(
    "change",
    [{"delta": 0.0}, {"clip": -1.0}, {"noise_std": float("nan")}, {"round": -1}, {"run": 3}, {"level": "none"}],
)
def test_what_could_not_be_read_is_never_written(path: Path, change: dict[str, Any]) -> None:
    with Ledger.open(path, **OWNER) as ledger:
        before = path.read_bytes()
        with pytest.raises(ValueError, match=r"cannot be recorded|not JSON compliant"):
            ledger.charge(ROUND, **{"round": 1} | CHARGE | change)
        assert path.read_bytes() == before
        ledger.charge(ROUND, round=1, **CHARGE)


def test_the_salt_is_private_and_hides_the_digest(path: Path) -> None:
    fill(path)
    salt = path.with_suffix(".salt")
    assert stat.S_IMODE(salt.stat().st_mode) == 0o600
    assert rows(path)[0]["dataset"] == sha256(salt.read_bytes() + OWNER["dataset"]).hexdigest()
    other = path.with_name("client-00001.jsonl")
    fill(other)
    assert rows(other)[0]["dataset"] != rows(path)[0]["dataset"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": b"other"}, "other records"),
        ({"records": 288}, "other records"),
        ({"client": "00001"}, "of client '00000', not of '00001'"),
    ],
)
def test_other_data_or_another_client_is_refused(path: Path, change: dict[str, Any], message: str) -> None:
    fill(path)
    with pytest.raises(UsageError, match=message):
        Ledger.open(path, **OWNER | change)
    Ledger.open(path, **OWNER).close()


def test_a_lost_or_damaged_salt_is_reported(path: Path) -> None:
    fill(path)
    salt = path.with_suffix(".salt")
    salt.write_bytes(b"short")
    with pytest.raises(IntegrityError, match=r"client-00000\.salt is damaged"):
        Ledger.open(path, **OWNER)
    salt.unlink()
    with pytest.raises(IntegrityError, match=r"client-00000\.salt is missing"):
        Ledger.open(path, **OWNER)


def damaged(path: Path, line: int) -> None:
    """Both the reader and the writer must name the line."""
    for use in (lambda: read_ledger(path), lambda: Ledger.open(path, **OWNER)):
        with pytest.raises(IntegrityError, match=rf"client-00000\.jsonl:{line}: "):
            use()


def changed(value: object) -> object:
    match value:
        case dict():
            return Gaussian(1000.0).to_dict()
        case str():
            return ("f" if value[0] != "f" else "e") + value[1:]
        case _:
            return value * 2 + 1  # type: ignore[operator]


@pytest.mark.parametrize("line", [1, 2, 4])
def test_every_single_field_edit_is_found(path: Path, line: int) -> None:
    fill(path)
    original = path.read_bytes().splitlines(keepends=True)
    for key in rows(path)[line - 1]:
        row = rows(path)[line - 1]
        edited = json.dumps(row | {key: changed(row[key])}, separators=(",", ":")).encode() + b"\n"
        path.write_bytes(b"".join([*original[: line - 1], edited, *original[line:]]))
        damaged(path, line)
        removed = json.dumps({k: v for k, v in row.items() if k != key}, separators=(",", ":")).encode() + b"\n"
        path.write_bytes(b"".join([*original[: line - 1], removed, *original[line:]]))
        damaged(path, line)
        path.write_bytes(b"".join(original))
    assert len(read_ledger(path)) == 4


def test_an_edit_with_its_hash_recomputed_breaks_the_next_line(path: Path) -> None:
    fill(path)
    lines = path.read_bytes().splitlines(keepends=True)
    row = rows(path)[1] | {"event": Gaussian(1000.0).to_dict()}
    lines[1] = json.dumps(row | {"hash": row_hash(row)}, separators=(",", ":")).encode() + b"\n"
    path.write_bytes(b"".join(lines))
    damaged(path, 3)


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (lambda lines: lines[1:], 1),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], 3),
        (lambda lines: [lines[0], lines[2], lines[1], lines[3]], 2),
        (lambda lines: [lines[0], lines[1][:40] + b"\n", *lines[2:]], 2),
        (lambda lines: [lines[0], b"\n", *lines[1:]], 2),
        (lambda lines: [*lines, b"[]\n"], 5),
        (lambda lines: [*lines, b"\xff\xfe\n"], 5),
        (lambda lines: [lines[0].replace(b'":', b'": ', 1), *lines[1:]], 1),
        (lambda lines: [lines[0].replace(b'{"version":1', b'{"version":1,"version":1'), *lines[1:]], 1),
        (lambda lines: [*lines[:3], lines[3].replace(b'"clip":1.0', b'"clip":NaN')], 4),
        (lambda lines: [*lines[:3], lines[3].replace(b"self_composed", b"laplace")], 4),
        (lambda lines: [], 1),
        (lambda lines: [b"torn opening"], 1),
    ],
)
def test_damaged_lines_are_named(path: Path, edit: Callable[[list[bytes]], list[bytes]], line: int) -> None:
    fill(path)
    path.write_bytes(b"".join(edit(path.read_bytes().splitlines(keepends=True))))
    damaged(path, line)


def test_an_unknown_event_kind_is_refused_although_the_chain_holds(path: Path) -> None:
    fill(path, rounds=1)
    opening, charge = rows(path)
    charge["event"] = {"kind": "laplace", "noise_multiplier": 1.0}
    charge["hash"] = row_hash(charge)
    path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in (opening, charge)))
    with pytest.raises(IntegrityError, match=r"jsonl:2: event kind 'laplace' is unknown"):
        read_ledger(path)


@pytest.mark.parametrize("torn", [b'{"version":1,"seq', b"\x00" * 7, b"}"])
def test_a_torn_tail_is_reported_and_recovered(path: Path, torn: bytes) -> None:
    fill(path)
    intact = path.read_bytes()
    path.write_bytes(intact + torn)
    with pytest.raises(IntegrityError, match=rf"jsonl:5: the last line is torn \({len(torn)} bytes"):
        read_ledger(path)
    with Ledger.open(path, **OWNER) as ledger:
        ledger.charge(ROUND, round=4, **CHARGE)
    assert path.read_bytes().startswith(intact)
    lines = read_ledger(path)
    assert lines[4].row.get("recovered") == {"bytes": len(torn), "sha256": sha256(torn).hexdigest()}
    assert [line.event for line in lines] == [None, ROUND, ROUND, ROUND, None, ROUND]


@pytest.mark.parametrize("change", [{"client": "00001"}, {"dataset": b"others"}, {"records": 288}])
def test_a_torn_tail_is_not_recovered_for_anybody_else(path: Path, change: dict[str, Any]) -> None:
    fill(path)
    torn = path.read_bytes() + b'{"version":1,"seq'
    path.write_bytes(torn)
    with pytest.raises(UsageError):
        Ledger.open(path, **OWNER | change)
    assert path.read_bytes() == torn


def test_a_whole_line_without_its_line_feed_still_counts(path: Path) -> None:
    fill(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with Ledger.open(path, **OWNER) as ledger:
        assert len(ledger.events) == 3
    assert path.read_bytes() == whole


def test_the_lock_survives_a_recovery(path: Path) -> None:
    fill(path)
    path.write_bytes(path.read_bytes() + b"torn")
    with Ledger.open(path, **OWNER), pytest.raises(UsageError, match="one writer"):
        Ledger.open(path, **OWNER)


def test_client_names_are_text(path: Path) -> None:
    name = '"; rm -rf / #\n../../é'
    with Ledger.open(path, **OWNER | {"client": name}) as ledger:
        ledger.charge(ROUND, round=1, **CHARGE)
    assert {line.client for line in read_ledger(path)} == {name}


def test_a_missing_ledger_is_a_usage_error(path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_ledger(path)


WRITER = """
import sys
from pathlib import Path
from fedgan.privacy.events import Gaussian
from fedgan.privacy.ledger import Ledger
ledger = Ledger.open(Path(sys.argv[1]), client="00000", dataset=b"digest of the records", records=287)
for number in range(10**6):
    ledger.charge(Gaussian(2.0), run="r", round=number, clip=1.0, noise_std=2.0, delta=1e-5)
    print(number, flush=True)
"""


def test_kill_nine_loses_no_charge_that_returned(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        reported = [writer.stdout.readline() for _ in range(25)]
        writer.send_signal(signal.SIGKILL)
        reported += writer.stdout.readlines()
    returned = sum(line.endswith("\n") for line in reported)
    with Ledger.open(path, **OWNER) as ledger:  # the lock of the dead is free
        assert returned <= len(ledger.events) <= returned + 1
        ledger.charge(ROUND, round=1, **CHARGE)
    assert read_ledger(path)[-1].event == ROUND
