"""A server and its sites as real processes: TLS, node keys, vaults behind sockets, and the run of a simulation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.mark.privacy
def test_a_federation_finishes_and_its_budget_is_that_of_its_simulation(federation: Callable[..., Any]) -> None:
    fed = federation("partition.clients=3", "federation.rounds=1", "training.warm_start_steps=300")
    for index in range(3):
        fed.start_client(index)
    fed.start_server()
    fed.finish()
    simulated = fed.root / "simulated"
    fed.fedgan("simulate", str(fed.root / "run.toml"), "--output", str(simulated), "--quiet")
    deployed, wanted = audit(fed, fed.run), audit(fed, simulated)
    assert deployed == wanted
    assert deployed["epsilon"] <= 10
    for index in range(3):
        name = f"client-{index:05d}"
        copy = (fed.run / "ledgers" / f"{name}.jsonl").read_bytes()
        assert copy == (fed.root / name / "ledger.jsonl").read_bytes()
        fed.fedgan(
            "audit", "verify", str(fed.root / name / "ledger.jsonl"), "--public-key", str(fed.root / name / "node.pub")
        )
        assert fed.health(index)["vault"]["running"]
        fed.fedgan("client", str(fed.root / name), "--check")
    verified = fed.fedgan("audit", "verify", str(fed.run), "--public-key", str(fed.root / "server" / "nodes")).stdout
    assert verified.count("1 ledgers signed with ecdsa-sha2-nistp384 ") == 3
    card = json.loads((fed.run / "generator.json").read_text())
    assert card["epsilon"] == deployed["epsilon"]
    assert (fed.run / "samples" / "round-00001.png").exists()
    fed.fedgan("evaluate", str(fed.run))


def audit(fed: Any, path: Path) -> dict[str, Any]:
    """Return what an audit says, without the hashes, which no two runs share."""
    report = json.loads(fed.fedgan("audit", "budget", str(path), "--accountant", "rdp", "--json").stdout)
    for client in report["clients"]:
        del client["head"]
    return dict(report)


@pytest.mark.parametrize(
    "settings",
    [(), ("federation.algorithm='dp_fedavg_gan'", "federation.compression='int8'")],
    ids=["fedgan", "images and int8"],
)
def test_without_privacy_the_generator_is_that_of_the_simulation(
    federation: Callable[..., Any], settings: tuple[str, ...]
) -> None:
    fed = federation("partition.clients=2", "federation.rounds=2", "privacy.level='none'", *settings)
    for index in range(2):
        fed.start_client(index)
    fed.start_server()
    fed.finish()
    simulated = fed.root / "simulated"
    fed.fedgan("simulate", str(fed.root / "run.toml"), "--output", str(simulated), "--quiet")
    left, right = (load_file(path / "generator.safetensors") for path in (fed.run, simulated))
    assert left.keys() == right.keys()
    assert max(float((left[name] - right[name]).abs().max()) for name in left) <= 1e-5
