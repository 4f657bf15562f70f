"""Private reads that are cut off keep what was paid for, and the same command goes on without paying for it again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedgan.cli.app import main
from fedgan.errors import FedganError
from fedgan.federation.requests import Refusal
from fedgan.federation.vault import Vault
from fedgan.privacy.ledger import read_ledger

pytestmark = pytest.mark.privacy

RESERVED = 2.0
"""There is room for it once: who is asked for it again is refused."""
NAMES = ["00000", "00001", "00002"]


@pytest.fixture(scope="module")
def with_room(tmp_path_factory: pytest.TempPathFactory, config: Path, tiny: list[str]) -> Path:
    """A run that leaves room for an evaluation; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    room = ["--set", f"privacy.evaluation_epsilon={RESERVED}"]
    with pytest.raises(SystemExit) as exit_of:
        main(["simulate", str(config), *tiny, *room, "--output", str(folder), "--quiet"])
    assert exit_of.value.code == 0
    return folder


@pytest.fixture
def own(with_room: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(with_room, tmp_path / "own"))


@pytest.fixture
def cut(fedgan: Callable, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Ask for private reads, and let `error` stop them before client 00002 is asked."""

    def evaluate(run: Path, *more: object, epsilon: float = RESERVED, error: BaseException | None = None) -> Any:
        asked: list[Vault] = []
        whole = Vault.evaluate

        def stopping(vault: Vault, *arguments: Any, **options: Any) -> Any:
            asked.append(vault)
            if len(asked) > 2:
                raise error or FedganError("client 00002 is out of order")
            return whole(vault, *arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(Vault, "evaluate", stopping)
            return fedgan("evaluate", run, "--private-reads", epsilon, "--json", *more)

    return evaluate


def kept(run: Path) -> list[dict[str, Any]]:
    return list(json.loads((run / "evaluation.json").read_text()).get("private_reads", []))


def charges(run: Path) -> list[int]:
    """Return how many charges are in each ledger beyond those of training."""
    paths = sorted((run / "ledgers").glob("*.jsonl"))
    return [len(read_ledger(path)) - 4 for path in paths]


def test_what_was_paid_for_before_a_failure_is_kept(fedgan: Callable, cut: Callable, own: Path) -> None:
    result = cut(own)
    assert (result.code, result.out, result.err) == (1, "", "fedgan: client 00002 is out of order\n")
    assert len(kept(own)) == 1
    [reads] = kept(own)
    assert [client["client"] for client in reads["clients"]] == NAMES[:2]
    assert reads["missing"] == NAMES[2:]
    assert reads["all"]["records"] == 2 * 479
    assert charges(own) == [1, 1, 0]
    assert "  epsilon 2.0, 2 clients, CUT OFF before 00002, of this generator: near_1" in fedgan("evaluate", own).out
    assert charges(own) == [1, 1, 0]


def test_every_answer_names_a_charge_of_its_own_ledger(cut: Callable, own: Path) -> None:
    cut(own)
    for client in kept(own)[0]["clients"]:
        path = own / "ledgers" / f"client-{client['client']}.jsonl"
        assert client["charge"] == read_ledger(path)[-1].hash


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("disk"), FedganError("clock")], ids=repr)
def test_the_same_command_goes_on_and_charges_the_others_alone(
    fedgan: Callable, cut: Callable, own: Path, error: BaseException
) -> None:
    cut(own, error=error)
    [begun] = kept(own)
    result = fedgan("evaluate", own, "--private-reads", RESERVED, "--json")
    assert result.code == 0, result.err
    assert "goes on where it was cut off: 2 clients have answered and paid, charged are 00002" in result.err
    assert charges(own) == [1, 1, 1]
    document = json.loads(result.out)
    [reads] = kept(own)
    assert reads == document["private_reads"]
    assert "earlier_private_reads" not in document
    assert (reads["missing"], [client["client"] for client in reads["clients"]]) == ([], NAMES)
    assert reads["clients"][:2] == begun["clients"]
    assert {**reads, "clients": 0, "all": 0, "missing": 0} == {**begun, "clients": 0, "all": 0, "missing": 0}
    assert fedgan("audit", "verify", own).code == 0
    assert fedgan("evaluate", own, "--private-reads", RESERVED).code == 2  # it is whole: another one has no room


def test_it_goes_on_as_often_as_it_is_cut_off(fedgan: Callable, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Vault.evaluate
    for done in (1, 2, 3):
        asked: list[Vault] = []

        def stopping(vault: Vault, *arguments: Any, asked: list[Vault] = asked, **options: Any) -> Any:
            asked.append(vault)
            if len(asked) > 1:
                raise KeyboardInterrupt
            return whole(vault, *arguments, **options)

        monkeypatch.setattr(Vault, "evaluate", stopping)
        result = fedgan("evaluate", own, "--private-reads", RESERVED)
        assert (result.code == 0) == (done == 3)
        assert [len(reads["clients"]) for reads in kept(own)] == [done]
    assert charges(own) == [1, 1, 1]


def test_a_budget_spent_in_the_meantime_is_one_line_and_nothing_is_lost(cut: Callable, own: Path) -> None:
    result = cut(own, error=Refusal(Refusal.BUDGET_SPENT))
    assert (result.code, len(result.err.splitlines())) == (2, 1)
    assert "; what 2 clients have paid for is in evaluation.json" in result.err
    assert kept(own)[0]["missing"] == ["00002"]


@pytest.mark.parametrize("change", ["epsilon", "generator", "count", "discriminator"])
def test_reads_of_anything_else_are_charged_anew(fedgan: Callable, cut: Callable, own: Path, change: str) -> None:
    cut(own, epsilon=0.5)
    if change in ("generator", "count"):
        card = json.loads((own / "generator.json").read_text())
        if change == "count":
            card["config"]["evaluation"]["count"] = 150
        else:
            card["rounds"] = 1
        (own / "generator.json").write_text(json.dumps(card))
    if change == "discriminator":
        for kind in ("safetensors", "json"):
            (own / "checkpoints" / f"round-00002.{kind}").unlink()
    result = fedgan("evaluate", own, "--private-reads", 0.4 if change == "epsilon" else 0.5, "--json")
    assert "charged anew" in result.err
    assert charges(own) == [2, 2, 1]
    assert [reads["missing"] for reads in kept(own)] == [["00002"], []]


def test_answers_whose_charge_is_in_no_ledger_are_not_told(
    fedgan: Callable, cut: Callable, with_room: Path, own: Path
) -> None:
    """Who puts a ledger back from a copy of before has the charge made again: a read is never free."""
    cut(own)
    [begun] = kept(own)
    shutil.copy(with_room / "ledgers" / "client-00001.jsonl", own / "ledgers")
    result = fedgan("evaluate", own, "--private-reads", RESERVED, "--json")
    assert "1 clients have answered and paid, charged are 00001, 00002" in result.err
    assert charges(own) == [1, 1, 1]
    [reads] = kept(own)
    assert reads["clients"][0] == begun["clients"][0]
    assert reads["clients"][1]["counts"] != begun["clients"][1]["counts"]


@pytest.mark.parametrize(
    "change",
    [{"counts": 3}, {"counts": {}, "shares": {}}, {"noise_std": "no"}, {"records": 0}, {"shares": {}}, {"more": 1}],
    ids=repr,
)
def test_damaged_answers_are_found_before_anything_is_charged(
    refused: Callable, cut: Callable, own: Path, change: dict[str, Any]
) -> None:
    cut(own)
    document = json.loads((own / "evaluation.json").read_text())
    document["private_reads"][0]["clients"][1] |= change
    (own / "evaluation.json").write_text(json.dumps(document))
    line = refused("evaluate", own, "--private-reads", RESERVED, code=4)
    assert line.startswith(f"{own / 'evaluation.json'}: damaged: ")
    assert charges(own) == [1, 1, 0]
