"""A row of several runs on the same records: trained, fused and judged at the price of all of them together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest

from fedgan.audit.verify import verify
from fedgan.errors import BudgetError, IntegrityError, UsageError
from fedgan.evaluation import network
from fedgan.federation.planning import plan_of
from fedgan.privacy.accounting import epsilon
from fedgan.privacy.ledger_line import seal
from simulations.results import runner
from simulations.results.catalogue import ROWS
from simulations.results.origin import configs_of, digest, this_commit
from simulations.results.record import Record, read_records
from simulations.results.row import Row

pytestmark = pytest.mark.privacy

ROW = Row(
    "both",
    "Two runs, fused",
    "digits.toml",
    settings=(
        "threads=1",
        "partition.clients=1",
        "partition.scheme=iid",
        "federation.rounds=0",
        "privacy.epsilon=4",
        "privacy.lifetime_epsilon=8",
        "training.warm_start_features=60",
        "training.warm_start_steps=20",
    ),
    images=300,
    parts=2,
)
RECORDS = 1437


def run(row: Row, folder: Path, *, again: bool = False) -> Record:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "EPOCHS", 4)
        patch.setattr(network, "STEPS", 5)
        runner.run_row(row, 4, data=folder, runs=folder / "runs", results=folder / "results", replace=again)
    return read_records(folder / "results")[row.name][0]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Record]:
    """Where the row was run, not to be changed, and its record."""
    folder = tmp_path_factory.mktemp("once")
    return folder, run(ROW, folder)


@pytest.fixture
def there(once: tuple[Path, Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that a test may change, where nothing may be trained any more."""
    copytree(once[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr("fedgan.federation.simulation.simulate", lambda *args, **kwargs: pytest.fail("trained again"))
    return tmp_path


def card_of(folder: Path) -> dict[str, object]:
    return dict(json.loads((folder / "generator.json").read_text()))


def cost_by_plan(row: Row, records: int, runs: int) -> float:
    """Return what `runs` runs of `row` cost together on the records of one client, by nothing but their plans."""
    config = configs_of(row, 0)[0]
    events = plan_of(config, records=records, everybody=records).planned_events()
    return epsilon(events * runs, delta=config.privacy.delta, accountant=config.privacy.accountant)


def test_a_fused_generator_is_judged_at_the_price_of_all_its_parts(once: tuple[Path, Record]) -> None:
    folder, record = once
    fused = folder / "runs" / "both-seed-4"
    card = card_of(fused)
    assert record.epsilon == card["epsilon"] == pytest.approx(cost_by_plan(ROW, RECORDS, 2), rel=1e-6)
    assert 1.3 * cost_by_plan(ROW, RECORDS, 1) < record.epsilon < 2 * cost_by_plan(ROW, RECORDS, 1)
    assert (record.level, record.trust, record.delta) == ("record", "local", 1e-4)
    assert verify([fused]).intact
    parts = [folder / "runs" / f"both-seed-4-part-{index}" for index in range(2)]
    costs = [json.loads((part / "trained.json").read_text()) for part in parts]
    assert record.training_seconds == pytest.approx(sum(cost["seconds"] for cost in costs), abs=0.06)
    assert [part["card"]["config"]["seed"] for part in card["parts"]] == [8, 9]  # type: ignore[attr-defined,index]
    assert (record.generated, record.commit, record.judging_commit) == (300, this_commit(), this_commit())
    assert record.configuration == digest(configs_of(ROW, 4)) != digest(configs_of(ROW, 3))


def test_what_is_there_is_only_judged(there: Path, once: tuple[Path, Record]) -> None:
    again = run(ROW, there, again=True)
    assert replace(again, evaluation_seconds=0, metrics={}) == replace(once[1], evaluation_seconds=0, metrics={})
    assert again.metrics == pytest.approx(once[1].metrics)
    note = there / "runs" / "both-seed-4-part-0" / "trained.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"commit": "a" * 40}))
    assert run(ROW, there, again=True).commit == "", "one part's commit is not the other's"


def test_a_card_that_claims_less_is_not_believed(there: Path) -> None:
    fused = there / "runs" / "both-seed-4"
    cheaper = {name: value for name, value in card_of(fused).items() if name != "hash"} | {"epsilon": 4.0}
    (fused / "generator.json").write_text(json.dumps(seal(cheaper)))
    with pytest.raises(IntegrityError, match="it claims epsilon 4, the ledgers of its parts say"):
        run(ROW, there, again=True)


def test_other_parts_are_refused(there: Path) -> None:
    other = replace(ROW, settings=(*ROW.settings, "training.warm_start_steps=21"))
    with pytest.raises(UsageError, match="both-seed-4-part-0 holds a run of another configuration"):
        run(other, there, again=True)
    card = there / "runs" / "both-seed-4-part-1" / "generator.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"stopped": "early"}))
    with pytest.raises(UsageError, match="both-seed-4 holds a generator of other runs: delete it"):
        run(ROW, there, again=True)


def test_parts_that_cannot_be_fused_leave_no_record(tmp_path: Path) -> None:
    """By default a ledger holds no more than one run's epsilon: the second part is refused, and nothing is judged."""
    settings = tuple(item for item in ROW.settings if "lifetime" not in item)
    with pytest.raises(BudgetError, match="no client has budget left for the warm start"):
        run(replace(ROW, settings=settings), tmp_path)
    assert not (tmp_path / "results").exists()


def test_three_parts_of_the_ablation_fit_into_its_epsilon() -> None:
    row = ROWS["ablation-fused"]
    config, shipped = (configs_of(ROWS[name], 0)[0] for name in ("ablation-fused", "ablation-shipped"))
    same = {"epsilon": 0.0, "lifetime_epsilon": 0.0}
    assert config.privacy.lifetime_epsilon == shipped.privacy.epsilon == 10
    assert config.model_copy(update={"privacy": config.privacy.model_copy(update=same)}) == shipped.model_copy(
        update={"privacy": shipped.privacy.model_copy(update=same)}
    )
    assert config.partition.clients == 1, "else parts would divide the records differently"
    assert 9.95 < cost_by_plan(row, 60_000, row.parts) <= 10
    commands = row.command(1).split(" && ")
    assert [f" --set seed={seed} " in commands[index] for index, seed in enumerate((3, 4, 5))] == [True] * 3
    assert commands[3] == "fedgan fuse RUNS/part-0 RUNS/part-1 RUNS/part-2 --output RUNS/fused"
