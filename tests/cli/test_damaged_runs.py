"""What was tampered with or is damaged ends with exit code 4 and one line that names the file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Refused = Callable[..., str]

COMMANDS = [["generate", "--count", "1", "--output", "never.png"], ["evaluate"], ["explain", "--output", "never.png"]]


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(bytes(content))


def with_fields(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("position", [0, 100, -1])
def test_one_changed_byte_of_the_generator_is_found(
    refused: Refused, run_copy: Path, command: list[str], position: int
) -> None:
    flip(run_copy / "generator.safetensors", position)
    line = refused(command[0], run_copy, *command[1:], code=4)
    assert line.startswith(
        f"{run_copy / 'generator.safetensors'}: its SHA-256 is not the one that generator.json names"
    )


def test_a_lost_generator_is_found(refused: Refused, run_copy: Path) -> None:
    (run_copy / "generator.safetensors").unlink()
    assert refused("evaluate", run_copy, code=4).startswith(f"{run_copy / 'generator.safetensors'}: ")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b"null"])
def test_a_broken_card_is_found(refused: Refused, run_copy: Path, command: list[str], content: bytes) -> None:
    (run_copy / "generator.json").write_bytes(content)
    assert refused(command[0], run_copy, *command[1:], code=4).startswith(f"{run_copy / 'generator.json'}: damaged: ")


@pytest.mark.parametrize(
    "changes",
    [
        {"num_classes": 7},
        {"num_classes": "ten"},
        {"num_classes": None},
        {"image_shape": [1, 16, 16]},
        {"image_shape": [8, 8]},
        {"image_shape": 8},
        {"image_shape": ["a", "b", "c"]},
        {"config": []},
        {"config": "text"},
        {"config": {"model": {"name": "none"}}},
        {"config": {"model": {"latent_dim": 0}}},
        {"config": {"model": {"latent_dim": 3}}},
        {"config": {"unknown": 1}},
    ],
    ids=json.dumps,
)
def test_a_card_that_does_not_fit_the_weights_is_found(
    refused: Refused, run_copy: Path, changes: dict[str, Any]
) -> None:
    with_fields(run_copy / "generator.json", **changes)
    line = refused("generate", run_copy, "--count", 1, "--output", "never.png", code=4)
    assert line.startswith(f"{run_copy / 'generator.json'}: damaged: ")


def test_what_does_not_fit_is_said(refused: Refused, run_copy: Path) -> None:
    with_fields(run_copy / "generator.json", config={"model": {"latent_dim": 3}})
    assert "size mismatch for" in refused("generate", run_copy, "--count", 1, "--output", "never.png", code=4)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"metrics": 3}'])
def test_broken_earlier_scores_are_found(refused: Refused, run_copy: Path, content: str) -> None:
    (run_copy / "evaluation.json").write_text(content)
    assert refused("evaluate", run_copy, code=4).startswith(f"{run_copy / 'evaluation.json'}: damaged: ")


@pytest.mark.parametrize("what", ["weights changed", "weights lost", "card cut", "card not JSON", "card emptied"])
def test_a_damaged_checkpoint_is_not_resumed(refused: Refused, contents: Callable, run_copy: Path, what: str) -> None:
    weights, card = (run_copy / "checkpoints" / f"round-00002.{kind}" for kind in ("safetensors", "json"))
    if what == "weights changed":
        flip(weights, -5)
    elif what == "weights lost":
        weights.unlink()
    else:
        text = card.read_text()
        card.write_text({"card cut": text[: len(text) // 2], "card not JSON": "?", "card emptied": "{}"}[what])
    before = contents(run_copy)
    line = refused("simulate", "--resume", "--output", run_copy, "--quiet", code=4)
    assert line.startswith(str(weights if what.startswith("weights") else card))
    assert "damaged checkpoint" in line
    after = contents(run_copy)
    assert {name: after[name] for name in before if name != "partition.png"} == {
        name: before[name] for name in before if name != "partition.png"
    }


def test_a_ledger_that_lost_lines_is_not_resumed(refused: Refused, run_copy: Path) -> None:
    ledger = run_copy / "ledgers" / "client-00001.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join(lines[:-1]))
    line = refused("simulate", "--resume", "--output", run_copy, "--quiet", code=4)
    assert line.startswith(f"{ledger}: ")


@pytest.mark.privacy
def test_a_changed_ledger_is_not_audited(refused: Refused, run_copy: Path) -> None:
    ledger = run_copy / "ledgers" / "client-00001.jsonl"
    text = ledger.read_text()
    assert '"round":1' in text
    rows = [json.loads(line) for line in text.splitlines()]
    ledger.write_text(text.replace('"round":1', '"round":7'))
    number = next(number for number, row in enumerate(rows, start=1) if row.get("round") == 1)
    assert refused("audit", "budget", run_copy, "--json", code=4).startswith(f"{ledger}:{number}: ")


def test_a_damaged_run_configuration_names_its_line(refused: Refused, run_copy: Path) -> None:
    config = run_copy / "config.toml"
    config.write_text(config.read_text().replace("epsilon = 10.0", "epsilon = 0", 1))
    line = refused("simulate", "--resume", "--output", run_copy)
    number = config.read_text().split("\n").index("epsilon = 0") + 1
    assert line.startswith(f"{config}:{number}: privacy.epsilon = 0 is not accepted")


def test_in_a_process_of_its_own_it_is_one_line_too(run_copy: Path) -> None:
    flip(run_copy / "checkpoints" / "round-00002.safetensors", -5)
    call = "from fedgan.cli import main; main()"
    command = [sys.executable, "-c", call, "simulate", "--resume", "--output", str(run_copy), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (4, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("fedgan: ")
