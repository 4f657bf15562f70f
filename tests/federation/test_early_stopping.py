"""Early stopping in whole runs: the best generator is published, rounds that never were cost nothing, runs resume."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fedgan.audit.verify import verify
from fedgan.config import Config
from fedgan.errors import UsageError
from fedgan.federation.combinations import check_early_stopping
from fedgan.federation.embeddings import WarmStart
from fedgan.federation.server import Server
from fedgan.federation.simulation import Outcome
from fedgan.privacy.ledger import read_ledger
from fedgan.training.early_stopping import EarlyStopping, held_back
from fedgan.training.warm_start import EmbeddingTarget

WATCHED = ("federation.rounds=6", "training.early_stopping_rounds=2")
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
def test_rounds_that_never_were_are_not_charged_and_looking_costs_nothing(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, script: Callable[..., None]
) -> None:
    script(5.0, 6.0, 7.0)
    early = run(tiny_config(*WATCHED), tmp_path / "early")
    whole = run(tiny_config("federation.rounds=6"), tmp_path / "whole")
    assert early.budget is not None
    assert whole.budget is not None
    assert early.budget.epsilon < whole.budget.epsilon
    for path in early.ledgers:
        other = tmp_path / "whole" / "ledgers" / path.name
        charges, others = ([line.row for line in read_ledger(file) if line.event is not None] for file in (path, other))
        assert {row["round"] for row in charges} == {0, 1, 2}
        assert len(charges) == len([row for row in others if row["round"] <= 2])
    assert verify([tmp_path / "early"]).intact


@pytest.mark.parametrize("last", [0, 1, 2])
def test_a_resumed_run_is_the_uninterrupted_one(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, watcher: Any, last: int
) -> None:
    config = tiny_config(NO_LEVEL, *WATCHED)
    whole = run(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "broken", observer=watcher(stop_after=last))
    broken = run(config, tmp_path / "broken", resume=True)
    assert broken.stopped == whole.stopped
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")
    assert [line["held_back_distance"] for line in lines(tmp_path / "broken")] == [
        line["held_back_distance"] for line in lines(tmp_path / "whole")
    ]


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

    watches = [EarlyStopping(1, lambda: torch.Generator().manual_seed(0)) for _ in range(2)]
    assert same(fitted(torch.tensor(0.0), watches[0]), fitted(torch.tensor(1.0), watches[1]))
    assert watches[0].distance != watches[1].distance
    assert not same(fitted(torch.tensor(0.0), None), fitted(torch.tensor(1.0), None))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"warm_start": "none"}, "releases none"),
        ({"warm_start": "mixture"}, "releases none"),
        ({"anchor_weight": 0.5}, r"training\.anchor_weight = 0\.5"),
        ({"features": 8}, r"training\.warm_start_features = 8"),
    ],
)
def test_there_has_to_be_something_untouched_to_watch(changes: dict[str, Any], reason: str) -> None:
    settings: dict[str, Any] = {
        "rounds": 2,
        "warm_start": "mean_embedding",
        "refined": False,
        "features": 10,
        "anchor_weight": 0.0,
    }
    check_early_stopping(**settings)
    check_early_stopping(**settings | {"warm_start": "mixture", "refined": True})
    check_early_stopping(**settings | changes | {"rounds": 0})
    with pytest.raises(UsageError, match=reason) as caught:
        check_early_stopping(**settings | changes)
    assert caught.value.key == "training.early_stopping_rounds"
