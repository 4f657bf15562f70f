"""Epsilon by round: from the ledgers, never below what was spent, and at the end what the budget says."""

from pathlib import Path

import pytest

from fedgan.audit import curve
from fedgan.audit.budget import audit_budget
from fedgan.audit.curve import spent_by_round
from fedgan.privacy.events import Gaussian
from fedgan.privacy.ledger import Ledger, read_ledger

from .conftest import charge

pytestmark = pytest.mark.privacy


def test_curves_end_at_the_budget(finished: Path) -> None:
    spent, report = spent_by_round([finished]), audit_budget([finished])
    assert spent.points == tuple(("run-1", number) for number in range(4))
    assert {name: values[-1] for name, values in spent.epsilons.items()} == {
        row.client: pytest.approx(row.epsilon, rel=1e-12) for row in report.clients
    }
    assert spent.note == ""


def test_each_point_is_the_budget_of_the_lines_until_then(finished: Path, tmp_path: Path) -> None:
    spent = spent_by_round([finished])
    lines = (finished / "ledgers" / "client-00001.jsonl").read_bytes().splitlines(keepends=True)
    for number, value in enumerate(spent.epsilons["00001"]):
        (tmp_path / "cut.jsonl").write_bytes(b"".join(lines[: number + 2]))
        assert value == pytest.approx(audit_budget([tmp_path / "cut.jsonl"]).epsilon, rel=1e-12)


def test_a_client_that_sits_out_keeps_what_it_spent(tmp_path: Path) -> None:
    for client, rounds in (("a", (0, 1, 2)), ("b", (0, 2))):
        with Ledger.open(tmp_path / f"{client}.jsonl", client=client, dataset=client.encode(), records=9) as ledger:
            for number in rounds:
                charge(ledger, number, 2.0)
    spent = spent_by_round([tmp_path]).epsilons
    assert [len(values) for values in spent.values()] == [3, 3]
    assert spent["a"][0] == spent["b"][0] == spent["b"][1] < spent["a"][1]
    assert spent["b"][2] == pytest.approx(spent["a"][1], rel=1e-12)


def test_runs_follow_one_another_and_no_charge_means_no_curve(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "a.jsonl", client="a", dataset=b"a", records=9) as ledger:
        for run in ("z", "b"):
            charge(ledger, 0, 2.0, run)
            charge(ledger, 3, 2.0, run)
    Ledger.open(tmp_path / "idle.jsonl", client="idle", dataset=b"i", records=9).close()
    spent = spent_by_round([tmp_path])
    assert sorted(spent.points) == [("b", 0), ("b", 3), ("z", 0), ("z", 3)]
    assert spent.epsilons["a"] == sorted(spent.epsilons["a"])
    assert spent.epsilons["idle"] == [0.0] * 4
    assert len(read_ledger(tmp_path / "a.jsonl")) == 5
    (tmp_path / "a.jsonl").unlink()
    assert spent_by_round([tmp_path]).epsilons == {"idle": []}


def test_a_round_number_without_end_costs_no_memory(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "a.jsonl", client="a", dataset=b"a", records=9) as ledger:
        ledger.charge(Gaussian(2.0), run="r", round=10**12, clip=1.0, noise_std=2.0, delta=1e-5)
    assert spent_by_round([tmp_path]).points == (("r", 10**12),)


def test_thinned_curves_say_so(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = spent_by_round([finished])
    monkeypatch.setattr(curve, "spacing", lambda points, curves: 3)
    thin = spent_by_round([finished])
    assert "one round in 3" in thin.note
    for name, values in thin.epsilons.items():
        assert all(value >= true for value, true in zip(values, full.epsilons[name], strict=True))
        assert values[-1] == full.epsilons[name][-1]
