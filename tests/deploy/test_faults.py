"""A client that raises, dies, hangs or sends rubbish costs its own part of a round; its words stay at its site."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from misbehaving import REPEATS, SECRET, SENDS, held

from fedgan.privacy.ledger import read_ledger
from fedgan.runs import RunFolder

pytestmark = [pytest.mark.slow, pytest.mark.deployed, pytest.mark.timeout(900)]

Faults = dict[int, dict[str, tuple[str, str]]]
"""What clients do in a round, and what is said of it."""
FAULTS: Faults = {
    1: {"00001": ("raises", "failed")},
    2: {
        "00001": ("nan", "is not finite"),
        "00002": ("old under a new number", "an old release: its charge is for round 1"),
    },
    3: {"00001": ("1e30", "moved by"), "00002": ("old", "answers round 2 instead of 3")},
    4: {"00001": ("shape", "has shape (1, "), "00002": ("1 GB", "failed")},
    5: {"00001": ("exits", "unavailable")},
    6: {"00001": (SENDS, "no answer in time"), "00002": (REPEATS, "bytes of arrays, over")},
}
PATIENCE = 45
"""Seconds; the reply that is too large never comes to its end."""
SILENT: Faults = {
    1: {"00001": ("relay exits", "no answer in time"), "00002": ("hangs", "no answer in time")},
}


def server_words(fed: Any) -> bytes:
    """Return everything that lies at the server: run folder, logs, databases, and what its programs said."""
    files = [*fed.run.rglob("*"), *(fed.root / "server").rglob("*"), *fed.root.glob("server*.log")]
    return b"".join(path.read_bytes() for path in files if path.is_file())


@pytest.mark.privacy
def test_a_faulty_client_costs_its_own_part_of_a_round(federation: Callable[..., Any]) -> None:
    fed = begin(federation, FAULTS, f"federation.round_timeout={PATIENCE}", holds=["between-6"])
    done = held(fed.root, "between-6")
    fed.wait_until(done.exists, 600, "the round of 1 GB")
    peak = peak_mib(fed, b"flower-superlink")
    done.unlink()
    fed.finish(timeout=200)
    huge = assert_named(fed, FAULTS)[6]
    assert PATIENCE <= huge["seconds"] < PATIENCE + 30
    assert set(huge["answers"]["seconds"]) == {"00000", "00002"}
    assert peak < 700  # MiB; far from the gigabytes that were sent
    assert "a reply larger than largest_reply" in fed.log("server")
    assert_nothing_private(fed)


def test_a_client_that_says_nothing_is_waited_for_so_long(federation: Callable[..., Any]) -> None:
    fed = begin(federation, SILENT, "federation.round_timeout=60")
    hangs = held(fed.root / "client-00002", "hangs")
    fed.wait_until(hangs.exists, 400, "the client that hangs")
    fed.wait_until(lambda: fed.rows() > 1, 100, "the round to go on")
    hangs.unlink()
    fed.finish(timeout=400)
    row = assert_named(fed, SILENT)[1]
    assert 60 <= row["seconds"] < 90
    assert row["answers"]["late"] == 2
    assert set(row["answers"]["seconds"]) == {"00000"}


def peak_mib(fed: Any, program: bytes) -> float:
    """Return the peak memory of the federation's process that runs `program`, in MiB."""
    [folder] = [
        Path(f"/proc/{process}")
        for process in fed.left_over()
        if program in Path(f"/proc/{process}/cmdline").read_bytes()
    ]
    return int((folder / "status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


def begin(federation: Callable[..., Any], faults: Faults, *overrides: str, holds: Sequence[str] | None = None) -> Any:
    """Start three sites, two of which misbehave, and the server."""
    fed = federation("partition.clients=3", f"federation.rounds={len(faults)}", *overrides)
    for index, client in ((1, "00001"), (2, "00002")):
        fed.misbehave(index, {number: those[client][0] for number, those in faults.items() if client in those})
    for index in range(3):
        fed.start_client(index)
    fed.set("server/server.toml", "largest_reply", "64")
    if holds is not None:
        fed.hold_server(holds)
    fed.start_server()
    return fed


def assert_named(fed: Any, faults: Faults) -> list[dict[str, Any]]:
    """Every round took those who did not misbehave; the others are named, and have paid; return the rounds' lines."""
    rows, log = RunFolder(fed.run).read_metrics(), (fed.root / "server/logs/run.log").read_text()
    everybody = {"00000", "00001", "00002"}
    assert [row["round"] for row in rows] == list(range(len(faults) + 1))
    assert set(rows[0]["clients"]) == everybody
    for number, those in faults.items():
        assert set(rows[number]["refused"]) == set(those)
        assert set(rows[number]["clients"]) == everybody - set(those)
        for client, (_, words) in those.items():
            assert words in rows[number]["refused"][client]
            assert f"round {number} goes on without client {client}: {rows[number]['refused'][client]}" in log
    for client in everybody:  # what was computed is paid, however it ended
        paid = {line.row["round"] for line in read_ledger(fed.root / f"client-{client}/ledger.jsonl") if line.event}
        assert paid == set(range(len(faults) + 1))
    return rows


def assert_nothing_private(fed: Any) -> None:
    """Neither the words of an exception nor the paths of a site are anywhere at the server."""
    faulty, kept = fed.root / "client-00001", server_words(fed)
    assert SECRET in (faulty / "logs/vault.log").read_text()
    assert b"00001" in kept
    for private in (SECRET, str(faulty), "data.npz", "ledger.salt"):
        assert private.encode() not in kept, private
