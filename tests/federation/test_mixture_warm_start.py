"""The warm start by local moments: every release is charged, carries its noise, and is asked for once."""

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
from safetensors.torch import load_file

from fedgan.audit.budget import audit_budget
from fedgan.config import Config
from fedgan.data.dataset import ImageDataset
from fedgan.errors import UsageError
from fedgan.federation.checkpoint import save_checkpoint
from fedgan.federation.combinations import check_warm_start
from fedgan.federation.forecast import forecast
from fedgan.federation.requests import EmbedRequest, Refusal, Release
from fedgan.federation.sites import Sites
from fedgan.federation.vault import Vault
from fedgan.models.families.mixture import REFINED_TEXTURE, SHADING, TEXTURE
from fedgan.privacy.events import Gaussian
from fedgan.privacy.ledger import read_ledger
from fedgan.training.warm_start import Cells, ConvolutionMap, LocalMoments, MixtureFit, embed, stage_shares

SHARES = stage_shares(4)
MIXTURE = (
    "model.name='mixture'",
    "model.width=3",
    "model.latent_dim=5",
    "training.warm_start='mixture'",
    "training.warm_start_stages=4",
)
REFINED = (*MIXTURE, "training.warm_start_refinement=true", "training.warm_start_steps=3")
IN_ALL = (*REFINED, "training.warm_start_refinement_family='windows'", "training.warm_start_features=60")
NO_LEVEL = "privacy.level='none'"
SIGMAS = 5.7

MakeVault = Callable[..., Vault]


def cells() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "origins": rng.standard_normal((4, 64), dtype=np.float32),
        "bases": rng.standard_normal((4, 6, 64), dtype=np.float32) / 8,
        "centres": rng.standard_normal((4, 2, 6), dtype=np.float32),
        "radii": np.full(4, 8.0, np.float32),
    }


def request(stage: int, order: int = 2, **changes: Any) -> EmbedRequest:
    return EmbedRequest("run-1", 0, 0, stage=stage, order=order, arrays={**cells(), **changes})


def weights(folder: Path) -> bytes:
    return (folder / "generator.safetensors").read_bytes()


@pytest.mark.privacy
def test_every_release_is_charged_with_its_own_noise(make_vault: MakeVault, tmp_path: Path) -> None:
    vault = make_vault(warm_start_shares=SHARES)
    for stage in range(4):
        release = vault.embed(request(stage, order=1 + stage % 2))
        assert release.noise_std == vault._plan.warm_start_multiplier(stage)
    lines = read_ledger(tmp_path / "ledgers" / "client-00000.jsonl")
    wanted = [Gaussian(vault._plan.warm_start_noise / math.sqrt(share)) for share in SHARES]
    assert [line.event for line in lines if line.event] == wanted


@pytest.mark.privacy
def test_one_release_too_many_is_over_the_budget(make_vault: MakeVault) -> None:
    vault = make_vault(warm_start_shares=SHARES, warm_start_share=0.97)
    for stage in range(4):
        vault.embed(request(stage))
    with pytest.raises(Refusal, match=Refusal.BUDGET_SPENT):
        vault.embed(request(3, order=1))


@pytest.mark.privacy
def test_a_release_carries_the_noise_of_its_stage(make_vault: MakeVault, records: ImageDataset) -> None:
    vault = make_vault(warm_start_shares=SHARES)
    arrays = {name: torch.from_numpy(array) for name, array in cells().items()}
    for stage in (0, 3):
        release = vault.embed(request(stage))
        clean = embed(records, LocalMoments((1, 8, 8), Cells(**arrays), 2)).numpy()
        draws = (release.arrays["embedding"] - clean).ravel() / vault._plan.warm_start_multiplier(stage)
        assert release.arrays["embedding"].shape == (8, 1 + 6 + 21)
        assert abs(draws.mean()) < SIGMAS / math.sqrt(draws.size)
        assert abs(draws.var() - 1) < SIGMAS * math.sqrt(2 / draws.size)


@pytest.mark.privacy
def test_the_release_of_convolutions_carries_the_noise_of_its_stage(
    make_vault: MakeVault, records: ImageDataset, tmp_path: Path
) -> None:
    vault = make_vault(warm_start_shares=stage_shares(4, "convolutions"))
    release = vault.embed(EmbedRequest("run-1", 0, 7, stage=4, family="convolutions"))
    clean = embed(records, ConvolutionMap((1, 8, 8), seed=7)).numpy()
    multiplier = vault._plan.warm_start_noise / math.sqrt(0.2)
    draws = (release.arrays["embedding"] - clean).ravel() / multiplier
    assert release.noise_std == pytest.approx(multiplier)
    assert abs(draws.mean()) < SIGMAS / math.sqrt(draws.size)
    assert abs(draws.var() - 1) < SIGMAS * math.sqrt(2 / draws.size)
    (line,) = [line for line in read_ledger(tmp_path / "ledgers" / "client-00000.jsonl") if line.event]
    assert line.event == Gaussian(multiplier)


@pytest.mark.parametrize("stages", [3, 4, 9])
@pytest.mark.parametrize("family", ["convolutions", "windows"])
def test_the_shares_of_all_releases_add_up_to_one(stages: int, family: str) -> None:
    plain, refined = stage_shares(stages), stage_shares(stages, family)
    assert (len(plain), len(refined)) == (stages, stages + 1)
    assert sum(plain) == pytest.approx(1)
    assert sum(refined) == pytest.approx(1)


@pytest.mark.parametrize(
    "asked",
    [
        request(4),
        request(-1),
        request(0, order=3),
        request(0, origins=np.zeros((4, 63), np.float32)),
        request(0, centres=np.full((4, 2, 6), np.nan, np.float32)),
        request(0, centres=np.zeros((4, 2, 65), np.float32)),
        request(0, radii=np.zeros(4, np.float32)),
        request(0, more=np.zeros(1, np.float32)),
        replace(request(0), arrays={}),
    ],
)
def test_a_request_that_does_not_fit_is_refused_uncharged(
    make_vault: MakeVault, asked: EmbedRequest, tmp_path: Path
) -> None:
    with pytest.raises(Refusal, match=Refusal.BAD_REQUEST):
        make_vault(warm_start_shares=SHARES).embed(asked)
    assert not (tmp_path / "ledgers").exists()


@pytest.mark.parametrize("given", [2, 4])
def test_the_release_of_another_stage_is_refused_by_name(
    tiny_config: Callable[..., Config],
    run: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    given: int,
) -> None:
    answer, before = Vault.embed, dict[str, Release]()

    def embed_or_repeat(self: Vault, request: EmbedRequest) -> Release:
        release = answer(self, request)
        if self._client == "00001" and request.stage == 3:  # of the same shape and round as release 2
            return before["00001"] if given == 2 else replace(release, stage=given)
        return before.setdefault(self._client, release) if request.stage == 2 else release

    monkeypatch.setattr(Vault, "embed", embed_or_repeat)
    run(tiny_config(*MIXTURE, "training.warm_start_stages=5", "federation.rounds=0"), tmp_path / "run")
    words = f"without client 00001: answers stage {given} of the warm start instead of 3"
    assert sum(words in record.getMessage() for record in caplog.records) == 1


@pytest.mark.privacy
@pytest.mark.parametrize(("settings", "releases"), [(MIXTURE, 4), (REFINED, 5), (IN_ALL, 5)])
def test_a_run_spends_what_it_planned(
    tiny_config: Callable[..., Config],
    run: Callable[..., Any],
    tmp_path: Path,
    settings: tuple[str, ...],
    releases: int,
) -> None:
    config = tiny_config(*settings, "federation.rounds=1")
    run(config, tmp_path / "run")
    ledgers = sorted((tmp_path / "run" / "ledgers").glob("*.jsonl"))
    report = audit_budget(ledgers, delta=1e-4, accountant="rdp")
    assert [client.charges for client in report.clients] == [releases + 1] * 3
    assert 0.97 * 10 < report.epsilon <= 10


@pytest.mark.parametrize(
    ("settings", "texture"), [(MIXTURE, TEXTURE), (REFINED, REFINED_TEXTURE), (IN_ALL, REFINED_TEXTURE)]
)
@pytest.mark.parametrize("shading", [SHADING, 0.4])
def test_the_published_generator_has_the_texture_of_its_kind_and_shading(
    tiny_config: Callable[..., Config],
    run: Callable[..., Any],
    tmp_path: Path,
    settings: tuple[str, ...],
    texture: float,
    shading: float,
) -> None:
    asked = () if shading == SHADING else (f"training.warm_start_shading={shading}",)
    run(tiny_config(*settings, *asked, "federation.rounds=0"), tmp_path / "run")
    found = load_file(tmp_path / "run" / "generator.safetensors")
    assert torch.allclose(found["texture"], torch.tensor(texture))
    assert torch.allclose(found["shading"], torch.tensor(shading))
    assert (float(found["refiner.last.weight"].abs().max()) > 1e-3) == (settings is not MIXTURE)


@pytest.mark.parametrize(
    ("settings", "saves"),
    [
        *((MIXTURE, saves) for saves in (2, 3, 4, 5)),
        *((REFINED, saves) for saves in (4, 5, 6)),
        (IN_ALL, 5),
        ((*MIXTURE, "federation.compression='int8'"), 4),
    ],
    ids=[f"cells-{saves}" for saves in (2, 3, 4, 5)]
    + [f"refined-{saves}" for saves in (4, 5, 6)]
    + ["in-all-5", "rounded-4"],
)
def test_a_run_resumed_after_any_release_is_the_uninterrupted_one(
    tiny_config: Callable[..., Config],
    run: Callable[..., Any],
    whole_run: Callable[[Config], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: tuple[str, ...],
    saves: int,
) -> None:
    config = tiny_config(*settings, NO_LEVEL, "federation.rounds=1")
    done = []

    def save_and_die(*arguments: Any) -> Path:
        done.append(save_checkpoint(*arguments))
        if len(done) == saves:
            raise KeyboardInterrupt
        return done[-1]

    with monkeypatch.context() as patch:
        patch.setattr("fedgan.federation.run.save_checkpoint", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "broken")
    run(config, tmp_path / "broken", resume=True)
    assert weights(tmp_path / "broken") == weights(whole_run(config))


@pytest.mark.privacy
@pytest.mark.parametrize(
    "trusted",
    [
        ("federation.algorithm='fedsgd'", "federation.local_steps=1"),
        ("federation.algorithm='dp_fedavg_gan'", "privacy.level='client'", "privacy.delta=1e-2"),
    ],
)
def test_a_trusted_server_adds_the_noise_of_each_release(
    tiny_config: Callable[..., Config],
    run: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trusted: tuple[str, ...],
) -> None:
    added: list[float] = []

    def noted(values: torch.Tensor, std: float, noise: Any) -> torch.Tensor:
        added.append(std)
        return values

    monkeypatch.setattr("fedgan.federation.embeddings.add_noise", noted)
    config = tiny_config(*MIXTURE, *trusted, "privacy.trust='aggregator'", "federation.rounds=0")
    run(config, tmp_path / "run")
    charged = [
        line.event.noise_multiplier
        for line in read_ledger(tmp_path / "run" / "ledgers" / "client-00000.jsonl")
        if isinstance(line.event, Gaussian)
    ]
    assert added == pytest.approx(charged, rel=1e-3)  # above, by the rounding of sums in float32
    assert all(mine >= theirs for mine, theirs in zip(added, charged, strict=True))
    assert len(charged) == 4


def test_what_does_not_go_together_is_said() -> None:
    with pytest.raises(UsageError, match=r"model\.name = 'mlp'"):
        check_warm_start(warm_start="mixture", model="mlp", anchor_weight=0.0, public_data="")
    with pytest.raises(UsageError, match=r"training\.anchor_weight = 1"):
        check_warm_start(warm_start="mixture", model="mixture", anchor_weight=1.0, public_data="")
    with pytest.raises(UsageError, match=r"training\.public_data"):
        check_warm_start(warm_start="mixture", model="mixture", anchor_weight=0.0, public_data="mnist")
    with pytest.raises(UsageError, match=r"training\.class_counts = 'uniform'"):
        check_warm_start(
            warm_start="mixture", model="mixture", anchor_weight=0.0, public_data="", class_counts="uniform"
        )
    check_warm_start(
        warm_start="mean_embedding", model="mixture", anchor_weight=1.0, public_data="mnist", class_counts="uniform"
    )


@pytest.mark.parametrize(("compression", "smaller"), [("none", 1.0), ("float16", 2.0), ("int8", 3.9)])
def test_the_bytes_of_a_warm_start_are_those_of_all_its_releases(
    tiny_config: Callable[..., Config],
    run: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    compression: str,
    smaller: float,
) -> None:
    asked: list[int] = []
    answered: list[int] = []
    answer = Vault.embed

    def noted(vault: Vault, request: EmbedRequest) -> Release:
        release = answer(vault, request)
        if release.client == "00000":
            asked.append(sum(array.nbytes for array in request.arrays.values()))
            answered.append(release.arrays["embedding"].nbytes)
        return release

    monkeypatch.setattr(Vault, "embed", noted)
    config = tiny_config(*REFINED, f"federation.compression='{compression}'", "federation.rounds=0")
    run(config, tmp_path / "run")
    (row,) = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    for sizes, counted in ((asked, row["bytes_down"]), (answered, row["bytes_up"])):
        assert len(sizes) == 5
        assert sum(sizes) / smaller <= counted < sum(sizes) / smaller + 5 * 2000


@pytest.mark.privacy
@pytest.mark.parametrize("compression", ["none", "float16", "int8"])
def test_server_and_vaults_see_the_same_cells_and_rounding_counts_as_noise(
    tiny_config: Callable[..., Config],
    run: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    compression: str,
) -> None:
    """Rounding comes after the noise of a release, and before the server reads anything from it."""
    placed: dict[int, list[np.ndarray]] = {}
    released: dict[int, list[Release]] = {}
    read: dict[int, list[np.ndarray]] = {}
    noises: dict[int, tuple[torch.Tensor, float]] = {}
    answer, absorb_ = Vault.embed, MixtureFit.absorb

    def embed_and_note(vault: Vault, request: EmbedRequest) -> Release:
        release = answer(vault, request)
        placed[request.stage] = [request.arrays[name] for name in ("origins", "bases", "centres", "radii")]
        released.setdefault(request.stage, []).append(release)
        return release

    def absorb_and_note(fit: MixtureFit, sums: torch.Tensor, noise_std: float) -> None:
        read[fit.stage] = [tensor.numpy() for tensor in fit.moments()._cells]
        noises[fit.stage] = (sums, noise_std)
        absorb_(fit, sums, noise_std)

    monkeypatch.setattr(Vault, "embed", embed_and_note)
    monkeypatch.setattr(MixtureFit, "absorb", absorb_and_note)
    config = tiny_config(*MIXTURE, f"federation.compression='{compression}'", "federation.rounds=0")
    run(config, tmp_path / "run")
    for stage in range(4):
        for sent, seen in zip(placed[stage], read[stage], strict=True):
            np.testing.assert_array_equal(sent.astype(np.float64), seen)
        sums, noise_std = noises[stage]
        charged = math.sqrt(sum(release.noise_std**2 for release in released[stage]))
        rounding = sums.numpy() - sum(release.arrays["embedding"].astype(np.float64) for release in released[stage])
        assert (compression == "none") == (np.abs(rounding).max() == 0)
        wanted = float(np.square(rounding).mean())
        spread = 3.8 / math.sqrt(rounding.size)  # of `wanted` in float16, seen over ten runs; int8's is smaller
        assert noise_std**2 - charged**2 == pytest.approx(wanted, rel=5 * spread, abs=1e-9)


@pytest.mark.parametrize("compression", ["none", "float16", "int8"])
def test_a_forecast_bounds_the_bytes_of_a_warm_start(
    tiny_config: Callable[..., Config], run: Callable[..., Any], tmp_path: Path, compression: str
) -> None:
    config = tiny_config(*REFINED, f"federation.compression='{compression}'", "federation.rounds=0")
    run(config, tmp_path / "run")
    (row,) = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    foretold = forecast(config, Sites(config, tmp_path)).embedding_bytes
    assert 0.3 * foretold < row["bytes_up"] < foretold + 5 * 500
