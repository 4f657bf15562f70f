"""`kill -9` of any process of a federation: the run finishes, and no ledger holds less than what was computed."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedgan.privacy.ledger import read_ledger
from fedgan.runs import RunFolder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)


def assert_paid(fed: Any, rounds: int) -> None:
    """Every site's part in every round stands in its own ledger, and the run's copy is the same."""
    rows = RunFolder(fed.run).read_metrics()
    assert [row["round"] for row in rows] == list(range(rounds + 1))
    for index in range(fed.config.partition.clients):
        client = f"{index:05d}"
        ledger = fed.root / f"client-{client}" / "ledger.jsonl"
        paid = Counter(line.row["round"] for line in read_ledger(ledger) if line.event is not None)
        for row in rows:
            if client in row["clients"]:
                assert paid[row["round"]] >= 1
        copy = fed.run / "ledgers" / f"client-{client}.jsonl"
        assert ledger.read_bytes() == copy.read_bytes()


def test_a_killed_vault_and_a_killed_server_cost_no_run(federation: Callable[..., Any]) -> None:
    fed = federation("partition.clients=2", "federation.rounds=3", "federation.minimum_clients=1")
    for index in range(2):
        fed.set(f"client-{index:05d}/client.toml", "epsilon", "30.0")  # room for rounds that are charged twice
        fed.start_client(index)
    server = fed.start_server()
    fed.wait_until(lambda: fed.rows() >= 1, 120, "the warm start")
    vault = fed.health(0)["vault"]["pid"]
    kill(vault)
    fed.wait_until(lambda: fed.rows() >= 2, 120, "round 1")
    assert fed.health(0)["vault"]["pid"] != vault
    assert fed.health(0)["vault"]["restarts"] == 1
    kill(server.pid)
    server.wait(10)
    fed.start_server("--resume", name="resumed")
    fed.finish("resumed")
    assert_paid(fed, 3)
    assert json.loads((fed.run / "generator.json").read_text())["rounds"] == 3


def test_a_killed_node_is_taken_back_and_the_run_goes_on(federation: Callable[..., Any]) -> None:
    fed = federation("partition.clients=2", "federation.rounds=6")
    for index in range(2):
        fed.set(f"client-{index:05d}/client.toml", "epsilon", "30.0")
        fed.start_client(index)
    fed.start_server()
    fed.wait_until(lambda: fed.rows() >= 1, 120, "the warm start")
    kill(fed.health(1)["node"]["pid"])
    fed.finish(timeout=400)
    assert_paid(fed, 6)
    rows = RunFolder(fed.run).read_metrics()
    missing = [row for row in rows if "00001" not in row["clients"]]
    assert 1 <= len(missing) <= 5
    assert all(row["refused"] == {"00001": "no answer in time"} for row in missing)
    assert rows[-1]["clients"] == ["00000", "00001"]


def test_a_killed_superlink_ends_the_server_which_resumes(federation: Callable[..., Any]) -> None:
    fed = federation("partition.clients=1", "federation.rounds=2")
    fed.set("client-00000/client.toml", "epsilon", "30.0")
    fed.start_client(0)
    fed.start_server()
    fed.wait_until(lambda: fed.rows() >= 2, 120, "round 1")
    [link] = [
        process
        for process in fed.left_over()
        if b"bin/flower-superlink" in Path(f"/proc/{process}/cmdline").read_bytes()
    ]
    kill(link)
    fed.finish(code=1)
    assert "go on with --resume" in fed.log("server")
    fed.start_server("--resume", name="resumed")
    fed.finish("resumed")
    assert_paid(fed, 2)
