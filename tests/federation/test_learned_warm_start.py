"""The mean embedding in several releases: each is charged and carries its noise; learning between them is free."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedgan.audit.budget import audit_budget
from fedgan.config import Config
from fedgan.data.dataset import ImageDataset
from fedgan.errors import IntegrityError, UsageError
from fedgan.federation.checkpoint import save_checkpoint
from fedgan.federation.combinations import check_warm_start
from fedgan.federation.forecast import forecast
from fedgan.federation.planning import plan_of
from fedgan.federation.requests import EmbedRequest, Refusal, Release
from fedgan.federation.sites import Sites
from fedgan.federation.vault import Vault
from fedgan.privacy.accounting import epsilon as total_epsilon
from fedgan.privacy.events import Gaussian
from fedgan.privacy.ledger import read_ledger
from fedgan.training.warm_start import LearnedMap, LearnedStages, embed, embedding_shares, learned_shapes

SHAPE = (1, 8, 8)
SHARES = embedding_shares(3)
STAGES = ("training.warm_start_stages=3",)
NO_LEVEL = "privacy.level='none'"
SIGMAS = 5.7

MakeVault = Callable[..., Vault]
MakeConfig = Callable[..., Config]
Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedgan.training.warm_start.classifier.LEARNING_STEPS", 3)


def network(seed: int = 0, scale: float = 0.2, **changes: Any) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = learned_shapes(SHAPE).items()
    arrays = {name: (rng.standard_normal(size) * scale).astype(np.float32) for name, size in shapes}
    return {**arrays, **changes}


def request(stage: int, **changes: Any) -> EmbedRequest:
    return EmbedRequest("run-1", 0, 0, stage=stage, arrays=network(abs(stage), **changes), family="learned")


def filled(name: str, value: float) -> EmbedRequest:
    return request(1, **{name: np.full(learned_shapes(SHAPE)[name], value, np.float32)})


def weights(folder: Path) -> bytes:
    return (folder / "generator.safetensors").read_bytes()


def charged(ledger: Path) -> list[Any]:
    return [line.event for line in read_ledger(ledger) if line.event]


@pytest.mark.privacy
def test_every_release_is_charged_before_a_record_is_read_and_they_compose_to_one(
    make_vault: MakeVault, records: ImageDataset, tmp_path: Path
) -> None:
    ledger, seen = tmp_path / "ledgers" / "client-00000.jsonl", []

    class Spied(ImageDataset):
        def batch(self, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            seen.append(len(charged(ledger)))
            return super().batch(indices)

    data = Spied(records.images, records.labels, records.num_classes)
    vault = make_vault(warm_start_shares=SHARES, data=data)
    vault.embed(EmbedRequest("run-1", 8, 1))
    for stage in (1, 2):
        assert vault.embed(request(stage)).noise_std == vault._plan.warm_start_multiplier(stage)
    assert seen == [1, 2, 3]
    events = charged(ledger)
    assert events == [Gaussian(vault._plan.warm_start_noise / math.sqrt(share)) for share in SHARES]
    together, alone = (
        total_epsilon(some, delta=1e-3, accountant="rdp") for some in (events, [Gaussian(vault._plan.warm_start_noise)])
    )
    assert together == pytest.approx(alone, rel=1e-9)


@pytest.mark.privacy
def test_one_release_too_many_is_over_the_budget(make_vault: MakeVault) -> None:
    vault = make_vault(warm_start_shares=SHARES, warm_start_share=0.97)
    vault.embed(EmbedRequest("run-1", 8, 1))
    for stage in (1, 2):
        vault.embed(request(stage))
    with pytest.raises(Refusal, match=Refusal.BUDGET_SPENT):
        vault.embed(replace(request(2), arrays=network(9)))


@pytest.mark.privacy
@pytest.mark.parametrize("scale", [0.2, 3e37])
def test_a_release_carries_the_noise_of_its_stage_whatever_the_weights(
    make_vault: MakeVault, records: ImageDataset, scale: float
) -> None:
    vault = make_vault(warm_start_shares=SHARES)
    asked = request(2, scale=scale)
    release = vault.embed(asked)
    clean = embed(records, LearnedMap(SHAPE, {name: torch.from_numpy(each) for name, each in asked.arrays.items()}))
    draws = (release.arrays["embedding"] - clean.numpy()).ravel() / vault._plan.warm_start_multiplier(2)
    assert release.arrays["embedding"].shape == (4, 129)
    assert float(clean.norm(dim=1).max()) <= 12  # records of a class
    assert abs(draws.mean()) < SIGMAS / math.sqrt(draws.size)
    assert abs(draws.var() - 1) < SIGMAS * math.sqrt(2 / draws.size)


@pytest.mark.privacy
@pytest.mark.parametrize(
    "asked",
    [
        request(3),
        request(-1),
        filled("first", math.nan),
        filled("hidden", math.inf),
        filled("centre", -math.inf),
        request(1, hidden=np.zeros((128, 127), np.float32)),
        request(1, hidden=np.zeros((2**20, 128), np.float32)),
        request(1, first=np.zeros((16, 1, 5, 5), np.float64)),
        request(1, more=np.zeros(1, np.float32)),
        replace(request(1), arrays={}),
        replace(request(1), order=1),
    ],
    ids=["stage", "below", "nan", "inf", "-inf", "shape", "large", "dtype", "more", "none", "order"],
)
def test_a_request_that_does_not_fit_is_refused_uncharged(
    make_vault: MakeVault, asked: EmbedRequest, tmp_path: Path
) -> None:
    with pytest.raises(Refusal, match=Refusal.BAD_REQUEST):
        make_vault(warm_start_shares=SHARES).embed(asked)
    assert not (tmp_path / "ledgers").exists()


@pytest.mark.privacy
@pytest.mark.parametrize("stages", [2, 3])
def test_a_run_spends_what_it_planned(tiny_config: MakeConfig, run: Run, tmp_path: Path, stages: int) -> None:
    config = tiny_config(f"training.warm_start_stages={stages}", "federation.rounds=1")
    run(config, tmp_path / "run")
    report = audit_budget(sorted((tmp_path / "run" / "ledgers").glob("*.jsonl")), delta=1e-4, accountant="rdp")
    assert [client.charges for client in report.clients] == [stages + 1] * 3
    assert 0.97 * 10 < report.epsilon <= 10
    plan = plan_of(config, records=report.clients[0].records, everybody=1437)
    assert tuple(charged(tmp_path / "run" / "ledgers" / "client-00000.jsonl")) == plan.planned_events()


def test_without_a_number_of_stages_there_is_one(tiny_config: MakeConfig) -> None:
    assert len(plan_of(tiny_config(), records=400, everybody=1437).warm_start_shares) == 1
    mixture = tiny_config("training.warm_start='mixture'", "model.name='mixture'")
    assert len(plan_of(mixture, records=400, everybody=1437).warm_start_shares) == 5


def dies_at(monkeypatch: pytest.MonkeyPatch, number: int, *, before: bool = False) -> None:
    """Let the run end at save `number`, from 1, right before or right after it."""
    done: list[int] = []

    def save_and_die(*arguments: Any) -> Path:
        done.append(1)
        if before and len(done) == number:
            raise KeyboardInterrupt
        card = save_checkpoint(*arguments)
        if len(done) == number:
            raise KeyboardInterrupt
        return card

    monkeypatch.setattr("fedgan.federation.run.save_checkpoint", save_and_die)


@pytest.mark.parametrize(
    ("saves", "compression"),
    [(2, "none"), (3, "none"), (4, "int8"), (5, "none"), (6, "none"), (7, "none")],
    ids=["released", "learned", "rounded", "learned-again", "all-released", "fitted"],
)
def test_a_run_resumed_anywhere_is_the_uninterrupted_one(
    tiny_config: MakeConfig,
    run: Run,
    whole_run: Callable[[Config], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    saves: int,
    compression: str,
) -> None:
    config = tiny_config(*STAGES, NO_LEVEL, "federation.rounds=1", f"federation.compression='{compression}'")
    with monkeypatch.context() as patch:
        dies_at(patch, saves)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "broken")
    run(config, tmp_path / "broken", resume=True)
    assert weights(tmp_path / "broken") == weights(whole_run(config))


def test_a_run_begun_with_one_release_does_not_ask_for_more(tiny_config: MakeConfig, run: Run, tmp_path: Path) -> None:
    """As one of a version that wrote 5 stages for every warm start: what was paid for would be asked for again."""
    one, more = (tiny_config(*STAGES, f"training.warm_start_stages={stages}", NO_LEVEL) for stages in (1, 5))
    run(one, tmp_path / "run")
    with pytest.raises(IntegrityError, match=r"had one release: give training\.warm_start_stages = 0 or 1"):
        run(more, tmp_path / "run", resume=True)


@pytest.mark.privacy
@pytest.mark.parametrize("saves", [2, 3, 4, 6])
def test_what_was_paid_for_is_not_paid_for_again(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saves: int
) -> None:
    """A crash before a save loses what was learned or released since the last; vaults then give the same answer."""
    config = tiny_config(*STAGES, "federation.rounds=0")
    with monkeypatch.context() as patch:
        dies_at(patch, saves, before=True)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "run")
    outcome = run(config, tmp_path / "run", resume=True)
    for client in outcome.records:
        assert len(charged(tmp_path / "run" / "ledgers" / f"client-{client}.jsonl")) == 3


@pytest.mark.privacy
@pytest.mark.parametrize("compression", ["none", "float16", "int8"])
def test_server_and_vaults_see_the_same_weights(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    answer, joined = Vault.embed, LearnedStages.joined
    seen: list[dict[str, np.ndarray]] = []
    reckoned: list[LearnedMap] = []

    def embed_and_note(vault: Vault, asked: EmbedRequest) -> Release:
        if asked.stage and vault._client == "00000":
            seen.append(asked.arrays)
        return answer(vault, asked)

    def join_and_note(stages: LearnedStages, first: Any) -> Any:
        if stages.done:
            reckoned.extend(stages._map(arrays) for arrays in stages._networks)
        return joined(stages, first)

    monkeypatch.setattr(Vault, "embed", embed_and_note)
    monkeypatch.setattr(LearnedStages, "joined", join_and_note)
    run(tiny_config(*STAGES, "federation.rounds=0", f"federation.compression='{compression}'"), tmp_path / "run")
    assert len(seen) == len(reckoned) == 2
    for sent, used in zip(seen, reckoned, strict=True):
        for name, array in sent.items():
            np.testing.assert_array_equal(array, getattr(used, name).numpy())


@pytest.mark.privacy
@pytest.mark.parametrize(
    "trusted",
    [
        ("federation.algorithm='fedsgd'", "federation.local_steps=1"),
        ("federation.algorithm='dp_fedavg_gan'", "privacy.level='client'", "privacy.delta=1e-2"),
    ],
    ids=["record", "client"],
)
def test_a_trusted_server_adds_the_noise_of_each_release(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: tuple[str, ...]
) -> None:
    added: list[float] = []

    def noted(values: torch.Tensor, std: float, noise: Any) -> torch.Tensor:
        added.append(std)
        return values

    monkeypatch.setattr("fedgan.federation.embeddings.add_noise", noted)
    run(tiny_config(*STAGES, *trusted, "privacy.trust='aggregator'", "federation.rounds=0"), tmp_path / "run")
    multipliers = [event.noise_multiplier for event in charged(tmp_path / "run" / "ledgers" / "client-00000.jsonl")]
    assert added == pytest.approx(multipliers, rel=1e-3)  # above, by the rounding of sums in float32
    assert all(mine >= theirs for mine, theirs in zip(added, multipliers, strict=True))
    assert len(multipliers) == 3


def test_the_generator_is_fitted_after_each_release_to_all_that_is_in(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fedgan.federation.warm_start_state import drawn

    fit, fitted = drawn.fit_generator, []

    def noted(generator: Any, target: Any, rows: Any, **settings: Any) -> None:
        fitted.append(target.means.shape[1])
        fit(generator, target, rows, **settings)

    monkeypatch.setattr(drawn, "fit_generator", noted)
    run(tiny_config(*STAGES, "federation.rounds=0"), tmp_path / "run")
    assert fitted == [21, 21 + 129, 21 + 2 * 129]


@pytest.mark.parametrize("compression", ["none", "float16", "int8"])
def test_a_forecast_knows_the_releases_and_their_bytes(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, compression: str
) -> None:
    config = tiny_config(*STAGES, "federation.rounds=0", f"federation.compression='{compression}'")
    run(config, tmp_path / "run")
    (row,) = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    foretold = forecast(config, Sites(config, tmp_path))
    assert foretold.embeddings == 3
    assert foretold.embedding_bytes == pytest.approx(row["bytes_up"], abs=3 * 40)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"anchor_weight": 0.5}, r"training\.anchor_weight = 0\.5 does not go with training\.warm_start_stages = 2"),
        ({"early_stopping": 3}, r"training\.early_stopping_rounds = 3 does not go with .*stages = 2"),
        ({"stages": 11}, r"training\.warm_start_stages = 11 .*from 1 to 10"),
        ({"warm_start": "mixture", "model": "mixture"}, r"training\.warm_start_stages = 2 .*at least 3"),
    ],
    ids=["anchored", "watched", "many", "mixture"],
)
def test_what_does_not_go_together_is_said(settings: dict[str, Any], words: str) -> None:
    usual = {"warm_start": "mean_embedding", "model": "mlp", "anchor_weight": 0.0, "public_data": "", "stages": 2}
    check_warm_start(**usual)
    check_warm_start(**{**usual, "stages": 1, "anchor_weight": 1.0, "early_stopping": 3})
    with pytest.raises(UsageError, match=words):
        check_warm_start(**{**usual, **settings})


def test_a_run_that_does_not_go_together_leaves_no_folder(tiny_config: MakeConfig, run: Run, tmp_path: Path) -> None:
    for setting in ("training.anchor_weight=1", "training.early_stopping_rounds=2"):
        with pytest.raises(UsageError, match="warm_start_stages = 3"):
            run(tiny_config(*STAGES, setting), tmp_path / "run")
    assert not (tmp_path / "run").exists()
