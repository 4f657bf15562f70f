"""Every way to change a run's ledgers is found, and the line is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedgan.audit.verify import verify
from fedgan.privacy.ledger_line import encode, row_hash

from .conftest import resealed

pytestmark = pytest.mark.privacy

CLIENTS = ("00000", "00001", "00002")
Case = tuple[str, bytes, set[int]]  # what was done, the ledger's new content, the lines that may be named


def others(value: Any) -> list[Any]:
    """Return values that a forger might put in the place of `value`."""
    match value:
        case bool() | None:
            return [1]
        case int():
            return [value + 1, value - 1, float(value), str(value), True]
        case float():
            return [value * 2, value / 2, -value, 0, str(value), 1e300]
        case str():
            return [value[1:], value + "0", ("f" if value[:1] != "f" else "e") + value[1:], 0, None, [value]]
        case dict():
            return [dict(value, **{key: other}) for key in value for other in others(value[key])] + [{}, []]
        case _:
            raise AssertionError(value)


def edits(lines: list[bytes]) -> Iterator[Case]:
    """Every single-field edit of every line: as it is, with the line's hash made to fit, and with the chain forged."""
    rows = [json.loads(line) for line in lines]
    for number, row in enumerate(rows, start=1):
        for key in row:
            for value in others(row[key]):
                changed = row | {key: value}
                yield (
                    f"{number} {key}={value}",
                    b"".join([*lines[: number - 1], encode(changed), *lines[number:]]),
                    {number},
                )
                changed["hash"] = row_hash(changed)
                if changed == row:
                    continue  # an edit of the hash, undone
                content = b"".join([*lines[: number - 1], encode(changed), *lines[number:]])
                yield f"{number} {key}={value}, hash", content, {number, number + 1}
            dropped = encode({name: row[name] for name in row if name != key})
            yield f"{number} without {key}", b"".join([*lines[: number - 1], dropped, *lines[number:]]), {number}
        named = {number, number + 1} | ({1} if number == 2 else set())  # the first checkpoint names line 2
        for key in ("time", "client", "run", "round", "dataset", "records", "event", "clip", "noise_std", "delta"):
            for value in others(row[key]) if key in row else ():
                forged = resealed([*rows[: number - 1], row | {key: value}, *rows[number:]])
                yield f"{number} {key}={value}, chain", b"".join(forged), named


def moves(lines: list[bytes], foreign: list[bytes]) -> Iterator[Case]:
    """Lines deleted, duplicated, swapped, cut short and mixed with another client's, also in a forged chain."""
    count = len(lines)
    rows, alien = ([json.loads(line) for line in part] for part in (lines, foreign))
    for at in range(count):
        without = [*lines[:at], *lines[at + 1 :]]
        yield f"deleted {at + 1}", b"".join(without), {at + 1}
        yield f"duplicated {at + 1}", b"".join([*lines[: at + 1], *lines[at:]]), {at + 2}
        yield f"foreign {at + 1}", b"".join([*lines[:at], foreign[at], *lines[at + 1 :]]), {at + 1}
        yield f"inserted {at + 1}", b"".join([*lines[:at], foreign[at], *lines[at:]]), {at + 1}
        if at:
            forged = resealed([*rows[:at], *rows[at + 1 :]])
            yield f"deleted {at + 1}, chain", b"".join(forged), {at + 1, 1 if at == 1 else at + 1}
            forged = resealed([*rows[:at], alien[at], *rows[at + 1 :]])
            yield f"foreign {at + 1}, chain", b"".join(forged), {at + 1}
            yield f"cut after {at}", b"".join(lines[:at]), {at + 1, 1 if at == 1 else at + 1}
        for other in range(at + 1, count):
            swapped = list(lines)
            swapped[at], swapped[other] = swapped[other], swapped[at]
            yield f"swapped {at + 1} and {other + 1}", b"".join(swapped), {at + 1}
    content = b"".join(lines)
    for position in np.random.default_rng(0).integers(1, len(content), size=60):
        line = content[:position].count(b"\n") + 1
        yield f"truncated at {position}", content[:position], {line}
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(position) % 8
        yield f"flipped at {position}", bytes(flipped), {line, line + 1}
    yield "emptied", b"", {1}


def cases(run: Path, client: str) -> Iterator[Case]:
    lines = (run / "ledgers" / f"client-{client}.jsonl").read_bytes().splitlines(keepends=True)
    foreign = (run / "ledgers" / f"client-{CLIENTS[CLIENTS.index(client) - 1]}.jsonl").read_bytes()
    if client == CLIENTS[0]:
        yield from edits(lines)
    yield from moves(lines, foreign.splitlines(keepends=True))
    yield "replaced by another client's", foreign, {1}


def test_the_run_is_intact_before_it_is_tampered_with(finished: Path) -> None:
    report = verify([finished])
    assert report.intact
    assert [ledger.lines for ledger in report.ledgers] == [5, 5, 5]
    assert (report.faults, report.warnings, report.runs) == ((), (), (finished,))


@pytest.mark.parametrize("client", CLIENTS)
def test_every_change_of_a_ledger_is_found_and_its_line_named(finished: Path, tmp_path: Path, client: str) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    path = run / "ledgers" / f"client-{client}.jsonl"
    original = path.read_bytes()
    done = 0
    for what, content, lines in cases(finished, client):
        if content == original:
            continue
        path.write_bytes(content)
        faults = [fault for fault in verify([run]).faults if fault.path == path]
        assert len(faults) == 1, what
        assert faults[0].line in lines, f"{what}: {faults[0]}"
        done += 1
    assert done > (500 if client == CLIENTS[0] else 150)


def test_ledgers_that_change_places_are_found(finished: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    first, second = (run / "ledgers" / f"client-{client}.jsonl" for client in CLIENTS[:2])
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert [(fault.path, fault.line) for fault in verify([run]).faults] == [(first, 1), (second, 1)]


def test_a_ledger_that_was_taken_away_or_put_there_is_found(finished: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    path = run / "ledgers" / "client-00001.jsonl"
    path.rename(tmp_path / "away.jsonl")
    faults = verify([run]).faults
    assert [str(fault).rpartition("/")[2] for fault in faults] == [
        "round-00000.json: it names a ledger of client '00001', and there is none among those given"
    ]
    shutil.copy(tmp_path / "away.jsonl", path)
    row = json.loads(path.read_bytes().splitlines()[0])
    (run / "ledgers" / "client-x.jsonl").write_bytes(b"".join(resealed([row | {"client": "x"}])))
    (fault,) = verify([run]).faults
    assert str(fault).endswith("generator.json: it does not name client 'x', whose ledger lies in ledgers/")
