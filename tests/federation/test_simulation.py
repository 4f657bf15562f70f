"""Whole runs on the 1,437 digits: repeatable without a level, resumable from anywhere, never over the budget."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedgan.audit.budget import audit_budget
from fedgan.audit.verify import verify
from fedgan.config import Config
from fedgan.data.digest import dataset_digest
from fedgan.errors import FedganError, IntegrityError, UsageError
from fedgan.federation.checkpoint import latest_checkpoint
from fedgan.federation.cohort import participations
from fedgan.federation.simulation import Outcome, prepare, simulate
from fedgan.federation.sites import ledger_path
from fedgan.privacy.events import tally
from fedgan.privacy.ledger import Ledger, read_ledger

MakeConfig = Callable[..., Config]
Run = Callable[..., Outcome]
NO_LEVEL = "privacy.level='none'"


def weights(folder: Path) -> bytes:
    return (folder / "generator.safetensors").read_bytes()


def rounds(folder: Path) -> list[int]:
    return [json.loads(line)["round"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def charged_rounds(folder: Path, client: str) -> list[int]:
    lines = read_ledger(folder / "ledgers" / f"client-{client}.jsonl")
    return [line.row["round"] for line in lines if line.event is not None]


# Without a level


@pytest.mark.parametrize("algorithm", ["fedgan", "dp_fedavg_gan"])
def test_the_same_run_twice_is_the_same(tiny_config: MakeConfig, run: Run, tmp_path: Path, algorithm: str) -> None:
    config = tiny_config(NO_LEVEL, f"federation.algorithm={algorithm}", "training.anchor_weight=0.5")
    for name in ("first", "second"):
        run(config, tmp_path / name)
    assert weights(tmp_path / "first") == weights(tmp_path / "second")
    assert not (tmp_path / "first" / "ledgers").exists()
    run(tiny_config(NO_LEVEL, f"federation.algorithm={algorithm}", "seed=1"), tmp_path / "other")
    assert weights(tmp_path / "other") != weights(tmp_path / "first")


@pytest.mark.parametrize("algorithm", ["fedgan", "dp_fedavg_gan"])
def test_a_resumed_run_is_the_uninterrupted_one(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, watcher: Any, algorithm: str
) -> None:
    config = tiny_config(
        NO_LEVEL,
        f"federation.algorithm={algorithm}",
        "federation.fraction=0.67",
        "training.discriminator_steps='adaptive'",
        "training.anchor_weight=0.5",
    )
    run(config, tmp_path / "whole")
    for last in (0, 1, 3):
        broken = tmp_path / f"broken-{last}"
        with pytest.raises(KeyboardInterrupt):
            run(config, broken, observer=watcher(stop_after=last))
        assert not (broken / "generator.safetensors").exists()
        watch = watcher()
        run(config, broken, resume=True, observer=watch)
        assert [report.round for report in watch.reports] == list(range(last + 1, 4))
        assert weights(broken) == weights(tmp_path / "whole")
        assert rounds(broken) == [0, 1, 2, 3]


class DiesInTheFit:
    """Raises in the warm start's third step."""

    def warm_start_step(self, step: int, steps: int) -> None:
        if step == 3:
            raise KeyboardInterrupt

    def after_round(self, *arguments: Any) -> None: ...


def test_a_run_resumed_in_the_warm_starts_fit_is_the_uninterrupted_one(
    tiny_config: MakeConfig, run: Run, tmp_path: Path
) -> None:
    config = tiny_config(NO_LEVEL)
    run(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "broken", observer=DiesInTheFit())
    run(config, tmp_path / "broken", resume=True)
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")
    assert rounds(tmp_path / "broken") == [0, 1, 2, 3]


def test_a_run_resumed_before_its_first_checkpoint_begins_anew(
    tiny_config: MakeConfig, run: Run, tmp_path: Path
) -> None:
    config = tiny_config(NO_LEVEL)
    run(config, tmp_path / "whole")
    prepare(config, tmp_path / "broken", resume=False)
    (tmp_path / "broken" / "metrics.jsonl").write_text('{"round": 0}\n{"rou')
    run(config, tmp_path / "broken", resume=True)
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")
    assert rounds(tmp_path / "broken") == [0, 1, 2, 3]


def test_resuming_a_finished_run_changes_nothing(tiny_config: MakeConfig, run: Run, tmp_path: Path) -> None:
    config = tiny_config()
    run(config, tmp_path / "run")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    run(config, tmp_path / "run", resume=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


# Record level


@pytest.mark.privacy
def test_a_run_spends_what_was_planned(tiny_config: MakeConfig, run: Run, tmp_path: Path) -> None:
    config = tiny_config()
    folder, sites = prepare(config, tmp_path / "run", resume=False)
    plans = [sites.plan(index) for index in range(3)]
    outcome = run(config, tmp_path / "other")
    assert outcome.stopped == ""
    assert outcome.budget is not None
    assert 9.9 < outcome.budget.epsilon <= 10
    assert [client.client for client in outcome.budget.clients] == ["00000", "00001", "00002"]
    for client, plan in zip(outcome.budget.clients, plans, strict=True):
        lines = read_ledger(ledger_path(tmp_path / "other" / "ledgers", client.client))
        events = [line.event for line in lines if line.event]
        assert tally(events) == tally(plan.planned_events())
        assert client.records == plan.records == outcome.records[client.client] == 479
    assert folder.path == tmp_path / "run"


@pytest.mark.privacy
def test_noise_is_never_repeated(tiny_config: MakeConfig, run: Run, tmp_path: Path) -> None:
    for name in ("first", "second"):
        run(tiny_config("federation.rounds=1"), tmp_path / name)
    assert weights(tmp_path / "first") != weights(tmp_path / "second")


@pytest.mark.privacy
def test_partial_participation_stays_within_the_plan(tiny_config: MakeConfig, run: Run, tmp_path: Path) -> None:
    config = tiny_config("federation.fraction=0.5", "federation.rounds=5", "partition.clients=4")
    outcome = run(config, tmp_path / "run")
    turns = {client: Counter(charged_rounds(tmp_path / "run", client)) for client in outcome.records}
    asked = [sum(count for number, count in turn.items() if number > 0) for turn in turns.values()]
    assert sum(asked) == 5 * 2
    assert max(asked) == participations(4, 0.5, 5) == 3
    assert [turn[0] for turn in turns.values()] == [1] * 4
    assert outcome.budget is not None
    assert outcome.budget.epsilon <= 10


@pytest.mark.privacy
@pytest.mark.parametrize("last", [0, 2])
def test_a_resumed_run_goes_on_with_its_ledgers(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, watcher: Any, last: int
) -> None:
    config = tiny_config()
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "run", observer=watcher(stop_after=last))
    outcome = run(config, tmp_path / "run", resume=True)
    assert outcome.stopped == ""
    for client in outcome.records:
        assert charged_rounds(tmp_path / "run", client) == [0, 1, 2, 3]
    assert outcome.budget is not None
    assert outcome.budget.epsilon <= 10


@pytest.mark.privacy
def test_a_warm_start_that_was_paid_for_is_not_paid_for_again(
    tiny_config: MakeConfig, run: Run, tmp_path: Path
) -> None:
    config = tiny_config()
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "run", observer=DiesInTheFit())
    outcome = run(config, tmp_path / "run", resume=True)
    for client in outcome.records:
        assert charged_rounds(tmp_path / "run", client) == [0, 1, 2, 3]


@pytest.mark.privacy
def test_what_was_charged_and_lost_is_charged_again(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, watcher: Any
) -> None:
    config = tiny_config()
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "run", observer=watcher(stop_after=2))
    card = latest_checkpoint(tmp_path / "run" / "checkpoints")
    assert card is not None
    card.unlink()  # as if the crash had come before the second round's checkpoint
    outcome = run(config, tmp_path / "run", resume=True)
    assert outcome.stopped == "no client has budget left"
    assert outcome.budget is not None
    assert outcome.budget.epsilon <= 10
    for client in outcome.records:
        assert charged_rounds(tmp_path / "run", client) == [0, 1, 2, 2]
    assert rounds(tmp_path / "run") == [0, 1, 2]  # a round that nobody can pay for is none
    assert (tmp_path / "run" / "generator.safetensors").exists()


@pytest.mark.privacy
@pytest.mark.parametrize("torn", [b'{"version":1,"sequ', b"\xff", b"{}"])
def test_a_torn_ledger_does_not_stop_a_resumed_run(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, watcher: Any, torn: bytes
) -> None:
    config = tiny_config("federation.fraction=0.34")  # most clients are not asked again
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "run", observer=watcher(stop_after=2))
    for path in (tmp_path / "run" / "ledgers").glob("*.jsonl"):
        with path.open("ab") as file:
            file.write(torn)
    outcome = run(config, tmp_path / "run", resume=True)
    assert outcome.stopped == ""
    for client in outcome.records:
        lines = read_ledger(ledger_path(tmp_path / "run" / "ledgers", client))
        assert sum("recovered" in line.row for line in lines) == 1
        assert charged_rounds(tmp_path / "run", client)[0] == 0


@pytest.mark.privacy
@pytest.mark.parametrize("loss", ["last line", "all lines", "file"])
def test_a_ledger_that_lost_lines_since_the_checkpoint_is_refused(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, watcher: Any, loss: str
) -> None:
    config = tiny_config()
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "run", observer=watcher(stop_after=2))
    path = ledger_path(tmp_path / "run" / "ledgers", "00001")
    lines = path.read_bytes().splitlines(keepends=True)
    if loss == "file":
        path.unlink()
    else:
        path.write_bytes(b"".join(lines[: -1 if loss == "last line" else 1]))
    with pytest.raises(IntegrityError, match=r"client-00001\.jsonl.*round-00002\.json"):
        run(config, tmp_path / "run", resume=True)
    assert not (tmp_path / "run" / "generator.safetensors").exists()


@pytest.mark.privacy
def test_a_ledger_that_was_edited_is_refused(tiny_config: MakeConfig, run: Run, tmp_path: Path, watcher: Any) -> None:
    config = tiny_config()
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "run", observer=watcher(stop_after=2))
    path = ledger_path(tmp_path / "run" / "ledgers", "00001")
    path.write_bytes(path.read_bytes().replace(b'"round":2', b'"round":3'))
    with pytest.raises(IntegrityError, match=r"client-00001\.jsonl:4"):
        run(config, tmp_path / "run", resume=True)


@pytest.mark.privacy
def test_a_budget_goes_on_over_runs(tiny_config: MakeConfig, run: Run, tmp_path: Path) -> None:
    config = tiny_config(f"privacy.ledgers='{tmp_path}/ledgers'", "training.warm_start='none'", "federation.rounds=2")
    first = run(config, tmp_path / "first")
    assert first.stopped == ""
    second = run(config, tmp_path / "second")
    assert second.stopped == "no client has budget left"
    assert second.budget == first.budget


@pytest.mark.privacy
def test_the_card_states_epsilon_at_its_own_delta(tiny_config: MakeConfig, run: Run, tmp_path: Path) -> None:
    shared = (f"privacy.ledgers='{tmp_path}/ledgers'", "federation.rounds=1", "privacy.lifetime_epsilon=100")
    run(tiny_config(*shared, "privacy.delta=1e-3"), tmp_path / "loose")
    outcome = run(tiny_config(*shared, "privacy.delta=1e-6"), tmp_path / "strict")
    card = json.loads((tmp_path / "strict" / "generator.json").read_text())
    at = {delta: audit_budget([tmp_path / "ledgers"], delta=delta, accountant="rdp").epsilon for delta in (1e-6, 1e-3)}
    assert at[1e-6] > 1.1 * at[1e-3]
    assert (card["epsilon"], card["delta"]) == (pytest.approx(at[1e-6], rel=1e-12), 1e-6)
    assert outcome.budget is not None
    assert (outcome.budget.epsilon, outcome.budget.delta) == (card["epsilon"], 1e-6)
    assert verify([tmp_path / "strict"]).intact


@pytest.mark.privacy
def test_ledgers_of_clients_of_other_runs_do_not_count(tiny_config: MakeConfig, run: Run, tmp_path: Path) -> None:
    ledgers = tmp_path / "ledgers"
    run(tiny_config(f"privacy.ledgers='{ledgers}'"), tmp_path / "first")
    three = tiny_config(f"privacy.ledgers='{ledgers}'", "federation.rounds=1")
    with Ledger.open(ledger_path(ledgers, "00007"), client="00007", dataset=b"x" * 32, records=5):
        pass
    with ledger_path(ledgers, "00007").open("ab") as file:
        file.write(b"torn")
    with pytest.raises(FedganError, match="no client has budget left for the warm start"):
        run(three, tmp_path / "second")
    config = tiny_config(
        f"privacy.ledgers='{ledgers}'",
        "training.warm_start='none'",
        "federation.rounds=1",
        "privacy.lifetime_epsilon=30",
    )
    outcome = run(config, tmp_path / "third")
    assert outcome.budget is not None
    assert [client.client for client in outcome.budget.clients] == ["00000", "00001", "00002"]


@pytest.mark.privacy
def test_a_damaged_ledger_is_found_before_training(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, watcher: Any
) -> None:
    config = tiny_config(f"privacy.ledgers='{tmp_path}/ledgers'")
    (tmp_path / "ledgers").mkdir()
    ledger_path(tmp_path / "ledgers", "00001").write_bytes(b"{}\n")
    watch = watcher()
    with pytest.raises(IntegrityError, match=r"client-00001\.jsonl"):
        run(config, tmp_path / "run", observer=watch)
    assert watch.reports == []
    assert not (tmp_path / "run").exists()


@pytest.mark.privacy
def test_a_ledger_of_other_records_is_not_charged(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, watcher: Any
) -> None:
    config = tiny_config(f"privacy.ledgers='{tmp_path}/ledgers'", "federation.rounds=1")
    path = ledger_path(tmp_path / "ledgers", "00001")
    with Ledger.open(path, client="00001", dataset=b"x" * 32, records=479):
        pass
    watch = watcher()
    run(config, tmp_path / "run", observer=watch)
    assert [report.refused for report in watch.reports] == [{"00001": "failed"}] * 2
    assert len(read_ledger(path)) == 1


# The run folder


def test_a_folder_that_holds_a_run_is_not_overwritten(tiny_config: MakeConfig, run: Run, tmp_path: Path) -> None:
    config = tiny_config(NO_LEVEL, "federation.rounds=0", "training.warm_start_steps=1")
    run(config, tmp_path / "run")
    before = weights(tmp_path / "run")
    with pytest.raises(UsageError, match="already holds a run"):
        run(config, tmp_path / "run")
    assert weights(tmp_path / "run") == before
    with pytest.raises(UsageError, match="holds no run"):
        run(config, tmp_path / "nothing", resume=True)


def test_a_damaged_checkpoint_is_refused(tiny_config: MakeConfig, run: Run, tmp_path: Path, watcher: Any) -> None:
    config = tiny_config(NO_LEVEL)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "run", observer=watcher(stop_after=1))
    card = latest_checkpoint(tmp_path / "run" / "checkpoints")
    assert card is not None
    card.with_suffix(".safetensors").write_bytes(b"")
    with pytest.raises(IntegrityError, match=r"round-00001\.safetensors: damaged checkpoint"):
        run(config, tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    "setting",
    [
        "federation.algorithm='fedgam'",
        "federation.aggregation='majority'",
        "loss.name='hing'",
        "privacy.clipping_engine='opacuss'",
        "evaluation.metrics='cnn,lr'",
        "model.name='dcgun'",
        "training.batch_size=480",
        "partition.clients=1438",
    ],
)
def test_bad_settings_leave_no_folder(tiny_config: MakeConfig, tmp_path: Path, setting: str) -> None:
    with pytest.raises(UsageError, match=setting.partition("=")[0].replace("model.name", "model")):
        prepare(tiny_config(setting), tmp_path / "run", resume=False)
    assert not (tmp_path / "run").exists()


def test_without_rounds_no_batch_is_too_large(tiny_config: MakeConfig, run: Run, tmp_path: Path) -> None:
    """480 are more than the 479 records of a client; nobody draws that batch, and a round more would be refused."""
    warm_start_alone = tiny_config("training.batch_size=480", "federation.rounds=0")
    outcome = run(warm_start_alone, tmp_path / "run")
    assert 0 < outcome.budget.epsilon <= warm_start_alone.privacy.epsilon
    with pytest.raises(UsageError, match=r"training.batch_size = 480 is not accepted: give at most 479"):
        prepare(tiny_config("training.batch_size=480", "federation.rounds=1"), tmp_path / "other", resume=False)


def test_sites_hold_disjoint_parts_of_all_records(tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = tiny_config("partition.scheme='dirichlet'", NO_LEVEL)
    _, sites = prepare(config, tmp_path / "run", resume=False)
    assert sorted(index for part in sites.parts for index in part) == list(range(1437))
    vaults = [sites.vault(index) for index in range(3)]
    assert [vault.describe().client for vault in vaults] == ["00000", "00001", "00002"]
    assert len({dataset_digest(vault._records) for vault in vaults}) == 3
    assert sites.vault(0) is not vaults[0]  # none is kept, so memory does not grow with the clients


def test_simulate_tells_the_observer(tiny_config: MakeConfig, tmp_path: Path, watcher: Any) -> None:
    config = tiny_config(NO_LEVEL)
    folder, sites = prepare(config, tmp_path / "run", resume=False)
    watch = watcher()
    simulate(config, folder, sites, engine="local", resume=False, observer=watch)
    assert [report.round for report in watch.reports] == rounds(tmp_path / "run") == [0, 1, 2, 3]
    assert all(report.clients == ["00000", "00001", "00002"] for report in watch.reports)
