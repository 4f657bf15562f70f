"""Client level: a party takes part by its own secret coin, pays either way, and no report names who took part."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedgan.config import Config
from fedgan.data.dataset import ImageDataset
from fedgan.federation.embeddings import Embeddings, WarmStart
from fedgan.federation.reports import LATE, report_of
from fedgan.federation.requests import EmbedRequest, Refusal, Release, TrainRequest
from fedgan.federation.server import Server
from fedgan.federation.server_steps import ClippedUpdates
from fedgan.federation.simulation import Outcome
from fedgan.federation.vault import Vault
from fedgan.privacy.events import Gaussian, PoissonSampled, SelfComposed
from fedgan.privacy.ledger import read_ledger
from fedgan.privacy.noise import SecureNoise, SeededNoise
from fedgan.runs import RunFolder
from fedgan.training.warm_start import FeatureMap, embed

pytestmark = pytest.mark.privacy

SIGMAS = 5.7
CLIENT = {"level": "client", "trust": "aggregator", "algorithm": "dp_fedavg_gan", "clients": 20, "probability": 0.25}
RUN = (
    "privacy.level=client",
    "privacy.trust=aggregator",
    "federation.algorithm=dp_fedavg_gan",
    "federation.fraction=0.4",
    "partition.clients=6",
)
MakeVault = Callable[..., Vault]
MakeServer = Callable[..., Server]
MakeConfig = Callable[..., Config]
Run = Callable[..., Outcome]


@pytest.fixture
def request_of(make_server: MakeServer) -> Callable[[int], TrainRequest]:
    server = make_server(algorithm="dp_fedavg_gan")

    def build(number: int) -> TrainRequest:
        server.round = number - 1
        return server.train_request()

    return build


def answers(vault: Vault, request_of: Callable[[int], TrainRequest], rounds: int) -> list[bool]:
    """Return for each round whether the vault took part."""
    found = []
    for number in range(1, rounds + 1):
        try:
            found.append(vault.train(request_of(number)).round == number)
        except Refusal as refusal:
            assert refusal.code == Refusal.SITS_OUT
            found.append(False)
    return found


def test_each_round_is_charged_whether_the_coin_says_yes_or_no(
    make_vault: MakeVault, request_of: Callable[[int], TrainRequest], tmp_path: Path
) -> None:
    vault = make_vault(**CLIENT, participations=12, warm_start_share=0.0, noise=SeededNoise(3))
    took_part = answers(vault, request_of, 12)
    assert 0 < sum(took_part) < 12
    lines = read_ledger(tmp_path / "ledgers" / "client-00000.jsonl")[1:]
    event = SelfComposed(1, PoissonSampled(0.25, Gaussian(vault._plan.noise_multiplier)))
    assert [line.event for line in lines] == [event] * 12
    assert {(line.level, line.trust) for line in lines} == {("client", "aggregator")}
    with pytest.raises(Refusal, match=Refusal.BUDGET_SPENT):
        vault.train(request_of(13))


def test_clients_take_part_at_the_accounted_rate(
    make_vault: MakeVault, request_of: Callable[[int], TrainRequest]
) -> None:
    """The coin is secure, so the bound is set for a false alarm in fewer than one of 1e7 runs."""
    rounds = 150
    vault = make_vault(**CLIENT, participations=rounds, warm_start_share=0.0, noise=SecureNoise())
    taken = sum(answers(vault, request_of, rounds))
    assert abs(taken - 0.25 * rounds) < SIGMAS * math.sqrt(rounds * 0.25 * 0.75)


def test_who_sits_out_reads_no_record(
    make_vault: MakeVault, request_of: Callable[[int], TrainRequest], records: ImageDataset
) -> None:
    class Never(SeededNoise):
        def uniform(self, count: int) -> np.ndarray:
            return np.full(count, 0.25)  # the smallest draw that is no

    class Unread(ImageDataset):
        def batch(self, indices: Any) -> Any:
            raise AssertionError("a record was read")

    data = Unread(records.images, records.labels, records.num_classes)
    vault = make_vault(**CLIENT, data=data, warm_start_share=0.0, noise=Never(0))
    with pytest.raises(Refusal, match=Refusal.SITS_OUT):
        vault.train(request_of(1))


def test_a_client_embeds_the_mean_of_its_records_and_the_server_adds_the_noise(
    make_vault: MakeVault, records: ImageDataset, warm_start: WarmStart
) -> None:
    vault = make_vault(**CLIENT)
    release = vault.embed(EmbedRequest("run-1", 8, 1))
    sums = embed(records, FeatureMap((1, 8, 8), features=8, seed=1))
    np.testing.assert_allclose(release.arrays["embedding"], sums / 48, rtol=0, atol=1e-6)
    assert np.linalg.norm(release.arrays["embedding"]) <= 1 + 1e-6
    assert release.noise_std == 0.0


def test_no_client_weighs_more_than_one_in_the_warm_start(warm_start: WarmStart) -> None:
    loud = np.full((4, 9), 100.0, np.float32)
    quiet = np.full((4, 9), 0.01, np.float32)
    total = Embeddings(torch.zeros(4, 9, dtype=torch.float64))
    total.add([Release("00000", 0, {"embedding": quiet})], {}, {"00000": 7}, whole_clients=True)
    before = total.sums.clone()
    total.add([Release("00001", 0, {"embedding": loud})], {}, {"00001": 7000}, whole_clients=True)
    assert float((total.sums - before).norm()) == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(before.numpy(), quiet, rtol=0, atol=1e-9)
    assert total.contributions == 2


def test_the_servers_noise_enters_the_warm_start_once(warm_start: WarmStart) -> None:
    """Clients send exact sums where the server is trusted: what is fitted must carry the charged noise."""
    settings = WarmStart(2000, 1, 8, 1e-2, "uniform", noise_std=3.0)
    total = Embeddings(torch.zeros(4, 2001, dtype=torch.float64))
    arrays = {"embedding": np.zeros((4, 2001), np.float32)}
    total.add([Release(f"{k}", 0, arrays) for k in range(5)], {}, dict.fromkeys("01234", 8), whole_clients=False)
    target = total.target(settings, 0, 0.3, SeededNoise(1))
    draws = (target.means.double() * 10 / 3.0).flatten()  # 40 records over 4 classes
    assert abs(float(draws.mean())) < SIGMAS / math.sqrt(len(draws))
    assert abs(float(draws.var()) - 1) < SIGMAS * math.sqrt(2 / len(draws))
    assert target.noise_std == 3.0


def test_a_round_without_anybody_moves_the_discriminator_like_any_other(
    make_server: MakeServer, make_vault: MakeVault
) -> None:
    plan = make_vault(**CLIENT)._plan
    reports = []
    for releases in (0, 3):
        step = ClippedUpdates(("discriminator",), plan=plan, quantile=0.0, noise=SecureNoise())
        server = make_server(algorithm="dp_fedavg_gan", step=step, minimum_clients=1)
        before = {name: value.clone() for name, value in server.gan.discriminator.state_dict().items()}
        arrays = {name: array.copy() for name, array in server.train_request().arrays.items() if "discr" in name}
        answers = [Release(f"{k:05d}", 1, arrays, head="f" * 64) for k in range(releases)]
        sat_out = {f"{k:05d}": Refusal.SITS_OUT for k in range(releases, 20)}
        reports.append(server.absorb_round(answers, sat_out, records=960))
        after = server.gan.discriminator.state_dict()
        assert all(bool((after[name] != value).any()) for name, value in before.items())
    for report in reports:
        assert (report.clients, report.refused, report.heads) == ([], {}, {})
        assert report.generator_steps == 2


@pytest.mark.parametrize("quantile", [0.0, 0.5])
def test_a_run_reports_its_own_epsilon_and_names_nobody(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, quantile: float
) -> None:
    outcome = run(tiny_config(*RUN, f"privacy.clip_quantile={quantile}"), tmp_path / "run")
    assert outcome.budget is not None
    assert outcome.budget.level == "client"
    assert 0.95 * 10 < outcome.budget.epsilon <= 10
    assert {client.charges for client in outcome.budget.clients} == {4}
    rows = RunFolder(tmp_path / "run").read_metrics()
    assert [row["round"] for row in rows] == [0, 1, 2, 3]
    assert all(row["clients"] == [] and row["refused"] == {} for row in rows[1:])
    card = json.loads(RunFolder(tmp_path / "run").card.read_text())
    assert (card["level"], card["trust"]) == ("client", "aggregator")
    assert card["neighbours"] == "add or remove one client"


def test_a_failure_after_the_coin_is_in_no_report() -> None:
    """Who comes late, fails or sends rubbish has tossed its coin, and it said yes."""
    failed = {
        "00000": Refusal.SITS_OUT,
        "00001": LATE,
        "00002": Refusal.FAILED,
        "00003": "array discriminator/x is not finite",
        "00004": Refusal.UNAVAILABLE,
        **{f"1{index}": code for index, code in enumerate(sorted(Refusal.BEFORE_THE_COIN))},
    }
    report = report_of(1, [], failed, secret=True, minimum=1, discriminator_steps=1)
    assert set(report.refused.values()) == Refusal.BEFORE_THE_COIN
    assert report.enough
    open_report = report_of(1, [], failed, secret=False, minimum=1, discriminator_steps=1)
    assert open_report.refused == failed
