"""A client that raises, dies, hangs or sends rubbish costs its own part of a round; its words stay at its site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from misbehaving import SECRET, held

from fedgan.privacy.ledger import read_ledger
from fedgan.runs import RunFolder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FAULTS = {
    1: {"00001": ("raises", "failed")},
    2: {
        "00001": ("nan", "is not finite"),
        "00002": ("old under a new number", "an old release: its charge is for round 1"),
    },
    3: {"00001": ("1e30", "moved by"), "00002": ("old", "answers round 2 instead of 3")},
    4: {"00001": ("shape", "has shape (1, "), "00002": ("1 GB", "failed")},
    5: {"00001": ("exits", "unavailable"), "00002": ("hangs", "no answer in time")},
    6: {"00001": ("relay exits", "no answer in time")},
}


def server_words(fed: Any) -> bytes:
    """Return everything that lies at the server: run folder, logs, databases, and what its programs said."""
    files = [*fed.run.rglob("*"), *(fed.root / "server").rglob("*"), *fed.root.glob("server*.log")]
    return b"".join(path.read_bytes() for path in files if path.is_file())


@pytest.mark.privacy
def test_a_faulty_client_costs_its_own_part_of_a_round(federation: Callable[..., Any]) -> None:
    fed = federation("partition.clients=3", f"federation.rounds={len(FAULTS)}", "federation.round_timeout=40")
    for index, client in ((1, "00001"), (2, "00002")):
        fed.misbehave(index, {number: faults[client][0] for number, faults in FAULTS.items() if client in faults})
    for index in range(3):
        fed.start_client(index)
    fed.start_server()
    hangs = held(fed.root / "client-00002", "hangs")
    fed.wait_until(hangs.exists, 400, "the client that hangs")
    fed.wait_until(lambda: fed.rows() > 5, 100, "the round to go on")
    hangs.unlink()
    fed.finish()

    rows, log = RunFolder(fed.run).read_metrics(), (fed.root / "server/logs/run.log").read_text()
    assert [row["round"] for row in rows] == list(range(len(FAULTS) + 1))
    assert rows[0]["clients"] == ["00000", "00001", "00002"]
    for number, faults in FAULTS.items():
        assert set(rows[number]["refused"]) == set(faults)
        assert set(rows[number]["clients"]) == {"00000", "00001", "00002"} - set(faults)
        for client, (_, words) in faults.items():
            assert words in rows[number]["refused"][client]
            assert f"round {number} goes on without client {client}: {rows[number]['refused'][client]}" in log
    assert rows[5]["answers"]["late"] == 1
    assert set(rows[5]["answers"]["seconds"]) == {"00000", "00001"}
    assert_nothing_private(fed)
    for client in ("00001", "00002"):  # what was computed is paid, however it ended
        paid = {line.row["round"] for line in read_ledger(fed.root / f"client-{client}/ledger.jsonl") if line.event}
        assert paid == set(range(len(FAULTS) + 1))


def assert_nothing_private(fed: Any) -> None:
    """Neither the words of an exception nor the paths of a site are anywhere at the server."""
    faulty, kept = fed.root / "client-00001", server_words(fed)
    assert SECRET in (faulty / "logs/vault.log").read_text()
    assert b"00001" in kept
    for private in (SECRET, str(faulty), "data.npz", "ledger.salt"):
        assert private.encode() not in kept, private
