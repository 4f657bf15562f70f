"""Early stopping in whole runs: the best generator is published, private runs go on, and runs resume."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fedgan.audit.verify import verify
from fedgan.config import Config
from fedgan.errors import UsageError
from fedgan.federation.embeddings import WarmStart
from fedgan.federation.forecast import forecast
from fedgan.federation.names import check_names
from fedgan.federation.server import Server
from fedgan.federation.simulation import Outcome
from fedgan.federation.sites import Sites
from fedgan.privacy.ledger import read_ledger
from fedgan.training.early_stopping import EarlyStopping, held_back
from fedgan.training.warm_start import EmbeddingTarget

WATCHED = ("federation.rounds=6", "training.early_stopping_rounds=2")
LAST = "checkpoints/round-00006.safetensors"
NO_LEVEL = "privacy.level='none'"
MakeConfig = Callable[..., Config]
Run = Callable[..., Outcome]


def weights(folder: Path) -> bytes:
    return (folder / "generator.safetensors").read_bytes()


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the watch see given distances, by round."""

    def play(*distances: float) -> None:
        def look(watch: EarlyStopping, average: Any, *_: Any) -> float:
            seen = watch.best_round + watch.since + (watch.distance is not None or watch.best < 1e9)
            return distances[seen]

        monkeypatch.setattr(EarlyStopping, "_distance_of", look)

    return play


def test_a_run_ends_early_and_publishes_the_best(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, script: Callable[..., None]
) -> None:
    script(5.0, 3.0, 4.0, 4.5, 1.0, 1.0, 1.0)
    outcome = run(tiny_config(NO_LEVEL, *WATCHED), tmp_path / "early")
    assert outcome.stopped == "no better generator in 2 rounds; the one after round 1 is kept"
    assert [line["round"] for line in lines(tmp_path / "early")] == [0, 1, 2, 3]
    assert [line["held_back_distance"] for line in lines(tmp_path / "early")] == [5.0, 3.0, 4.0, 4.5]
    assert json.loads((tmp_path / "early" / "generator.json").read_text())["stopped"] == outcome.stopped
    run(tiny_config(NO_LEVEL, "federation.rounds=1", WATCHED[1]), tmp_path / "short")
    assert weights(tmp_path / "early") == weights(tmp_path / "short")
    run(tiny_config(NO_LEVEL, "federation.rounds=3", WATCHED[1]), tmp_path / "last")
    assert weights(tmp_path / "last") == weights(tmp_path / "short")  # the best one, though that run went on to its end


@pytest.mark.privacy
def test_a_private_run_goes_on_to_its_last_round_and_looking_costs_nothing(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, script: Callable[..., None]
) -> None:
    """Else the epsilon of the rounds that were done would depend on the records, and promise too much."""
    script(5.0, 3.0, 6.0, 7.0, 8.0, 9.0, 10.0)
    watched = run(tiny_config(*WATCHED), tmp_path / "watched")
    plain = run(tiny_config("federation.rounds=6"), tmp_path / "plain")
    assert watched.stopped == ""
    assert watched.budget is not None
    assert plain.budget is not None
    assert watched.budget.epsilon == plain.budget.epsilon
    for path in watched.ledgers:
        other = tmp_path / "plain" / "ledgers" / path.name
        charges, others = ([line.row for line in read_ledger(file) if line.event is not None] for file in (path, other))
        assert [row["round"] for row in charges] == [row["round"] for row in others] == list(range(7))
    assert verify([tmp_path / "watched"]).intact
    assert json.loads((tmp_path / "watched" / "generator.json").read_text())["kept_round"] == 1
    best, last = (load_file(tmp_path / "watched" / name) for name in ("generator.safetensors", LAST))
    assert any(not torch.equal(tensor, last[f"average/{name}"]) for name, tensor in best.items())
    assert all(torch.equal(tensor, last[f"early_stopping/weights/{name}"]) for name, tensor in best.items())


@pytest.mark.parametrize("last", [1, 2])
def test_a_resumed_run_is_the_uninterrupted_one(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, watcher: Any, script: Callable[..., None], last: int
) -> None:
    script(5.0, 3.0, 4.0, 4.5, 1.0, 1.0, 1.0)
    config = tiny_config(NO_LEVEL, *WATCHED)
    whole = run(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "broken", observer=watcher(stop_after=last))
    broken = run(config, tmp_path / "broken", resume=True)
    assert broken.stopped == whole.stopped != ""
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")
    assert [line["held_back_distance"] for line in lines(tmp_path / "broken")] == [
        line["held_back_distance"] for line in lines(tmp_path / "whole")
    ]


def test_rounds_in_which_the_generator_stood_still_do_not_count(
    tiny_config: MakeConfig, run: Run, tmp_path: Path
) -> None:
    slow = ("training.discriminator_steps=7", "federation.local_steps=2", "training.early_stopping_rounds=1")
    run(tiny_config(NO_LEVEL, "federation.rounds=3", *slow), tmp_path / "run")
    found = lines(tmp_path / "run")
    assert [line["round"] for line in found] == [0, 1, 2, 3]
    assert [line["generator_steps"] for line in found[1:]] == [0, 0, 0]
    assert [line["held_back_distance"] is None for line in found] == [False, True, True, True]


@pytest.mark.privacy
def test_no_fit_sees_what_is_held_back(make_server: Callable[..., Server], warm_start: WarmStart) -> None:
    """Or the watch would praise the generator for what it was taught."""

    def fitted(moved: torch.Tensor, watch: EarlyStopping | None) -> dict[str, torch.Tensor]:
        server = make_server(warm_start=replace(warm_start, features=40), early_stopping=watch)
        feature_map = server.feature_map()
        assert feature_map is not None
        means = torch.zeros(server.num_classes, feature_map.dimension)
        means[:, held_back(feature_map.dimension)] += moved
        server.target = EmbeddingTarget(means, torch.full((server.num_classes,), 5.0), 0.0)
        server.fit()
        return server.average.state_dict()

    def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
        return all(torch.equal(tensor, other[name]) for name, tensor in one.items())

    watches = [EarlyStopping(1, lambda: torch.Generator().manual_seed(0), ends=True) for _ in range(2)]
    assert same(fitted(torch.tensor(0.0), watches[0]), fitted(torch.tensor(1.0), watches[1]))
    assert watches[0].distance != watches[1].distance
    assert not same(fitted(torch.tensor(0.0), None), fitted(torch.tensor(1.0), None))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (("training.warm_start='none'",), "releases none"),
        (("model.name='mixture'", "training.warm_start='mixture'"), "releases none"),
        (("training.anchor_weight=0.5",), r"training\.anchor_weight = 0\.5"),
        (("federation.rounds=0",), "nothing to stop"),
    ],
    ids=["no warm start", "no features", "anchored", "no rounds"],
)
def test_there_has_to_be_something_untouched_to_watch(
    tiny_config: MakeConfig, changes: tuple[str, ...], reason: str
) -> None:
    check_names(tiny_config(*changes))
    check_names(tiny_config(WATCHED[1]))
    with pytest.raises(UsageError, match=reason) as caught:
        check_names(tiny_config(WATCHED[1], *changes))
    assert caught.value.key == "training.early_stopping_rounds"


def test_a_forecast_counts_the_looks(tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 images of each of 10 classes a round, at a third of a step of 20 images that takes 0.3 s."""
    monkeypatch.setattr("fedgan.federation.forecast.seconds._fit_step_seconds", lambda *_: 0.3)
    monkeypatch.setattr("fedgan.federation.forecast.seconds._step_seconds", lambda *_: (0.0, 0.0))
    seconds = {
        rounds: forecast(config, Sites(config, tmp_path)).seconds
        for rounds in (0, 2)
        for config in [tiny_config("federation.rounds=6", f"training.early_stopping_rounds={rounds}")]
    }
    assert seconds[0] == pytest.approx(5 * 0.3)  # the fit's
    assert seconds[2] - seconds[0] == pytest.approx(6 * 0.1 * 2000 / 20)
