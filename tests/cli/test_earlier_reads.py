"""Private reads that were paid for belong to the generator that was asked about, and to no later one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load, save

from fedgan.cli.app import main
from fedgan.privacy.ledger import read_ledger

pytestmark = pytest.mark.privacy

EPSILON = 0.5


@pytest.fixture(scope="module")
def read_once(tmp_path_factory: pytest.TempPathFactory, config: Path, tiny: list[str]) -> Path:
    """A run whose records were read once; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    room = ["--set", "privacy.evaluation_epsilon=2"]
    for command in (
        ["simulate", str(config), *tiny, *room, "--output", str(folder), "--quiet"],
        ["evaluate", str(folder), "--private-reads", str(EPSILON), "--json"],
    ):
        with pytest.raises(SystemExit) as exit_of:
            main(command)
        assert exit_of.value.code == 0
    return folder


@pytest.fixture
def own(read_once: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(read_once, tmp_path / "own"))


def card(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "generator.json").read_text()))


def kept(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "evaluation.json").read_text()))


def exchange_generator(run: Path) -> None:
    """Put another generator in the place of the one that is there, of more rounds."""
    weights = {name: value * 0.5 for name, value in load((run / "generator.safetensors").read_bytes()).items()}
    content = save(weights)
    (run / "generator.safetensors").write_bytes(content)
    changed = card(run) | {"sha256": sha256(content).hexdigest(), "rounds": 7}
    (run / "generator.json").write_text(json.dumps(changed))


def lines(run: Path) -> int:
    return sum(len(read_ledger(path)) for path in (run / "ledgers").glob("*.jsonl"))


def test_what_was_paid_for_names_its_generator(fedgan: Callable, own: Path) -> None:
    [reads] = kept(own)["private_reads"]
    assert reads["generator"] == kept(own)["generator"] == {"sha256": card(own)["sha256"], "rounds": 2}
    document = json.loads(fedgan("evaluate", own, "--json").out)
    assert document["earlier_private_reads"] == [{**reads, "of_this_generator": True}]
    text = fedgan("evaluate", own).out
    assert "  epsilon 0.5, 3 clients, of this generator: near_1_percent " in text
    assert "NOT of this generator" not in text


def test_reads_of_another_generator_are_not_shown_as_of_this_one(fedgan: Callable, own: Path) -> None:
    [reads], charged, before = kept(own)["private_reads"], lines(own), card(own)
    exchange_generator(own)
    document = json.loads(fedgan("evaluate", own, "--json").out)
    assert document["earlier_private_reads"] == [{**reads, "of_this_generator": False}]
    said = f"3 clients, NOT of this generator: of one of 2 rounds, sha256 {before['sha256'][:16]}: near_1_percent "
    assert said in fedgan("evaluate", own).out
    assert kept(own)["private_reads"] == [reads]
    assert kept(own)["generator"] == {"sha256": card(own)["sha256"], "rounds": 7}
    assert lines(own) == charged


def test_a_new_read_is_charged_aloud_and_kept_beside_the_old(fedgan: Callable, own: Path) -> None:
    exchange_generator(own)
    charged = lines(own)
    result = fedgan("evaluate", own, "--private-reads", EPSILON, "--json")
    assert "--private-reads 0.5: charged anew; what was paid for earlier is not asked for again" in result.err
    assert lines(own) == charged + 3
    old, new = kept(own)["private_reads"]
    assert new == json.loads(result.out)["private_reads"]
    assert (old["generator"]["rounds"], new["generator"]["rounds"]) == (2, 7)
    again = json.loads(fedgan("evaluate", own, "--json").out)["earlier_private_reads"]
    assert [reads["of_this_generator"] for reads in again] == [False, True]


def test_scores_of_another_generator_are_left_out(fedgan: Callable, own: Path) -> None:
    document = kept(own)
    document["metrics"]["earlier"], document["classes"] = 0.5, {"of": "another"}
    (own / "evaluation.json").write_text(json.dumps(document))
    exchange_generator(own)
    assert fedgan("evaluate", own).code == 0
    assert list(kept(own)["metrics"]) == ["logistic_regression"]
    assert "classes" not in kept(own)


def test_a_file_of_before_generators_were_named_is_read(fedgan: Callable, own: Path) -> None:
    document = kept(own)
    del document["generator"], document["private_reads"][0]["generator"]
    document["metrics"]["earlier"] = 0.5
    (own / "evaluation.json").write_text(json.dumps(document))
    found = json.loads(fedgan("evaluate", own, "--json").out)["earlier_private_reads"]
    assert found == [{**document["private_reads"][0], "of_this_generator": None}]
    assert "3 clients, of a generator that was not noted down, which may be another than this one: " in (
        fedgan("evaluate", own).out
    )
    assert kept(own)["private_reads"] == document["private_reads"]
    assert kept(own)["metrics"]["earlier"] == 0.5


@pytest.mark.parametrize(
    "reads",
    [3, [3], [{}], [{"clients": 3}], [{"clients": [], "generator": 3}], [{"clients": [], "generator": {}}]]
    + [[{"clients": [], **more}] for more in ({"missing": 3}, {"all": 3}, {"all": {"shares": {"a": "b"}}})],
)
def test_reads_that_are_none_are_damage(refused: Callable, own: Path, reads: object) -> None:
    (own / "evaluation.json").write_text(json.dumps({"metrics": {}, "private_reads": reads}))
    assert refused("evaluate", own, code=4).startswith(f"{own / 'evaluation.json'}: damaged: ")
