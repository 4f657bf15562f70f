"""`kill -9` of any process in any phase of a round: the run finishes, and every ledger says what it paid.

The phases: before the request (the server holds after a round), before the charge, while the vault computes (after the
charge), before the reply (the release is made), and during the checkpoint (one of its two files is written). Whoever is
killed is killed while somebody holds there, so no test depends on how fast a machine is.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from misbehaving import held

from fedgan.privacy.ledger import read_ledger
from fedgan.runs import RunFolder

pytestmark = [pytest.mark.slow, pytest.mark.deployed, pytest.mark.timeout(600)]

VAULT_PHASES = {
    1: ("holds before the charge", "before-1"),
    2: ("holds after the charge", "charged-2"),
    3: ("holds before the reply", "reply-3"),
}
SERVER_PHASES = {4: "between-3", 5: "checkpoint-round-00005"}
EVERYWHERE = {*(name for _, name in VAULT_PHASES.values()), *SERVER_PHASES.values()}


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)


def superlink(fed: Any) -> int:
    [link] = [
        process
        for process in fed.left_over()
        if b"bin/flower-superlink" in Path(f"/proc/{process}/cmdline").read_bytes()
    ]
    return int(link)


def begin(federation: Callable[..., Any], rounds: int) -> Any:
    """Start two sites, both needed in every round; the vault of the first and the server hold in their phases."""
    fed = federation("partition.clients=2", f"federation.rounds={rounds}", "federation.minimum_clients=2")
    fed.misbehave(0, {number: fault for number, (fault, _) in VAULT_PHASES.items() if number <= rounds})
    fed.hold_server([name for number, name in SERVER_PHASES.items() if number <= rounds])
    for index in range(2):
        fed.set(f"client-{index:05d}/client.toml", "epsilon", "30.0")  # room for rounds that are charged twice
        fed.start_client(index)
    return fed


def at(fed: Any, folder: Path, name: str, act: Callable[[], object]) -> None:
    """Wait until somebody holds at `name` in `folder`, act, and let it go on."""
    fed.wait_until(held(folder, name).exists, 300, f"the hold {name}")
    act()
    held(folder, name).unlink()


def assert_paid(fed: Any, rounds: int, twice: dict[int, set[int]]) -> None:
    """Every round took both clients and stands once in each ledger, or twice for clients that `twice` names."""
    rows = RunFolder(fed.run).read_metrics()
    assert [row["round"] for row in rows] == list(range(rounds + 1))
    assert all(row["clients"] == ["00000", "00001"] for row in rows)
    for index in range(2):
        ledger = fed.root / f"client-{index:05d}" / "ledger.jsonl"
        paid = Counter(line.row["round"] for line in read_ledger(ledger) if line.event is not None)
        assert paid == {number: 1 + (index in twice.get(number, ())) for number in range(rounds + 1)}
        assert ledger.read_bytes() == (fed.run / "ledgers" / f"client-{index:05d}.jsonl").read_bytes()
    assert json.loads((fed.run / "generator.json").read_text())["rounds"] == rounds


@pytest.mark.privacy
def test_a_vault_that_is_killed_pays_twice_only_for_what_it_lost(federation: Callable[..., Any]) -> None:
    fed = begin(federation, 5)
    fed.start_server()
    holds = [(fed.root / "client-00000", name) for _, name in VAULT_PHASES.values()]
    holds += [(fed.root, name) for name in SERVER_PHASES.values()]
    for folder, name in holds:
        at(fed, folder, name, lambda: kill(fed.health(0)["vault"]["pid"]))
    fed.finish(timeout=300)
    assert fed.health(0)["vault"]["restarts"] == 5
    assert_paid(fed, 5, {2: {0}})  # charged, computed in part, and lost


@pytest.mark.timeout(1200)  # a SuperLink takes a node for lost only after a minute
@pytest.mark.parametrize("busy", ["vault", "server"])
def test_a_node_that_is_killed_is_taken_back_and_its_round_asked_again(
    federation: Callable[..., Any], busy: str
) -> None:
    rounds = 3 if busy == "vault" else 5
    fed = begin(federation, rounds)
    if busy == "server":
        fed.misbehave(0, {})
    fed.start_server()
    site = fed.root / "client-00000"
    if busy == "vault":
        holds = [(site, name) for _, name in VAULT_PHASES.values()]
    else:
        holds = [(fed.root, name) for name in SERVER_PHASES.values()]
    for folder, name in holds:
        at(fed, folder, name, lambda: kill(fed.health(0)["node"]["pid"]))
    fed.finish(timeout=600)
    assert fed.health(0)["node"]["restarts"] >= len(holds)
    assert_paid(fed, rounds, {})


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("what", "phases"),
    [
        pytest.param("server", EVERYWHERE, id="server"),
        # The server ends with its SuperLink, so that the rest is what the server's own end is asked in CI already.
        pytest.param("superlink", {"charged-2", "reply-3", "checkpoint-round-00005"}, id="superlink"),
        pytest.param("superlink", EVERYWHERE, id="superlink-everywhere", marks=pytest.mark.thorough),
    ],
)
def test_a_server_that_is_killed_goes_on_and_nobody_pays_twice(
    federation: Callable[..., Any], what: str, phases: set[str]
) -> None:
    fed = begin(federation, 5)
    name, server = "server", fed.start_server()

    def end() -> None:
        if what == "server":
            kill(server.pid)
            server.wait(20)
        else:
            kill(superlink(fed))
            fed.finish(name, code=1)
            assert "go on with --resume" in fed.log(name)

    holds = [(fed.root / "client-00000", phase) for _, phase in VAULT_PHASES.values()]
    for number, (folder, phase) in enumerate([*holds, *((fed.root, phase) for phase in SERVER_PHASES.values())]):
        at(fed, folder, phase, end if phase in phases else lambda: None)
        if phase in phases:
            name = f"server-{number}"
            server = fed.start_server("--resume", name=name)
    fed.finish(name, timeout=300)
    assert_paid(fed, 5, {})
