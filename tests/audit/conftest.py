"""A run folder as a run leaves it, made without training."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from fedgan.audit.budget import audit_budget
from fedgan.privacy.events import Gaussian, PoissonSampled, SelfComposed
from fedgan.privacy.ledger import Ledger, read_ledger
from fedgan.privacy.ledger_line import FIRST, encode, seal

NOISE = {"00000": 2.0, "00001": 2.5, "00002": 2.0}


def charge(ledger: Ledger, round_number: int, noise: float, run: str = "run-1") -> None:
    """Charge the warm start (round 0) or a round."""
    event = Gaussian(noise) if round_number == 0 else SelfComposed(20, PoissonSampled(0.25, Gaussian(noise)))
    ledger.charge(event, run=run, round=round_number, clip=0.5, noise_std=0.5 * noise, delta=1e-5)


def heads(folder: Path) -> dict[str, str]:
    """Return the hash of the last line of each ledger."""
    return {lines[0].client: lines[-1].hash for lines in map(read_ledger, sorted(folder.glob("*.jsonl")))}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three clients and three rounds; not to be changed."""
    run = tmp_path_factory.mktemp("audited") / "run"
    for round_number in range(4):
        for client, noise in NOISE.items():
            path = run / "ledgers" / f"client-{client}.jsonl"
            with Ledger.open(path, client=client, dataset=client.encode(), records=100) as ledger:
                charge(ledger, round_number, noise)
        weights = f"weights of round {round_number}".encode()
        facts = {"version": 1, "round": round_number, "ledger_heads": heads(run / "ledgers")}
        card = run / "checkpoints" / f"round-{round_number:05d}.json"
        card.parent.mkdir(exist_ok=True)
        card.write_text(json.dumps(seal(facts | {"sha256": sha256(weights).hexdigest()})))
        card.with_suffix(".safetensors").write_bytes(weights)
    (run / "generator.safetensors").write_bytes(b"generator")
    facts = {
        "run": "run-1",
        "level": "record",
        "trust": "local",
        "epsilon": audit_budget([run / "ledgers"]).epsilon,
        "delta": 1e-5,
        "accountant": "pld",
        "ledger_heads": heads(run / "ledgers"),
        "sha256": sha256(b"generator").hexdigest(),
    }
    (run / "generator.json").write_text(json.dumps(facts, indent=2))
    (run / "config.toml").write_text("seed = 0\n")
    return run


def resealed(rows: list[dict[str, Any]]) -> list[bytes]:
    """Return the lines of a chain forged over `rows`: every sequence, previous and hash fits."""
    lines: list[bytes] = []
    previous = FIRST
    for number, row in enumerate(rows):
        bare = {key: value for key, value in row.items() if key != "hash"}
        sealed = seal(bare | {"sequence": number, "previous": previous})
        previous = sealed["hash"]
        lines.append(encode(sealed))
    return lines


@pytest.fixture
def write_card() -> Callable[..., None]:
    """Change fields of a card, and seal it again if it is sealed."""

    def write(card: Path, **changes: Any) -> None:
        facts = json.loads(card.read_text()) | changes
        if "hash" in facts:
            facts = seal({key: value for key, value in facts.items() if key != "hash"})
        card.write_text(json.dumps(facts))

    return write
