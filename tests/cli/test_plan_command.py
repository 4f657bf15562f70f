"""`fedgan plan`: what it promises is what the ledgers later hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.numpy import load_file

from fedgan.audit.budget import audit_budget
from fedgan.audit.curve import spent_by_round
from fedgan.privacy.accounting import epsilon
from fedgan.privacy.events import Gaussian, PoissonSampled, SelfComposed
from fedgan.privacy.ledger import read_ledger
from fedgan.training.warm_start import ConvolutionMap

NETWORKS = ("generator", "discriminator")


@pytest.fixture(scope="module")
def printed() -> dict[tuple[str, ...], str]:
    """What was printed for overrides that were planned already."""
    return {}


@pytest.fixture
def document(
    fedgan: Callable, config: Path, tiny: list[str], printed: dict[tuple[str, ...], str]
) -> Callable[..., dict[str, Any]]:
    """Return the JSON document of `fedgan plan` for overrides."""

    def call(*overrides: str) -> dict[str, Any]:
        if overrides not in printed:
            result = fedgan("plan", config, *tiny, *(word for item in overrides for word in ("--set", item)), "--json")
            assert (result.code, result.err) == (0, "")
            printed[overrides] = result.out
        return dict(json.loads(printed[overrides]))

    return call


@pytest.mark.privacy
def test_planned_epsilon_is_what_the_ledgers_hold(document: Callable, run: Path) -> None:
    planned, spent = document(), audit_budget([run])
    assert planned["epsilon"] == pytest.approx(spent.epsilon, rel=1e-12)
    assert planned["delta"] == spent.delta
    for row, client in zip(planned["clients"], spent.clients, strict=True):
        assert (row["client"], row["records"]) == (client.client, client.records)
        assert row["epsilon"] == pytest.approx(client.epsilon, rel=1e-12)


@pytest.mark.privacy
def test_planned_noise_rate_and_steps_are_what_was_charged(document: Callable, run: Path) -> None:
    row = document()["clients"][1]
    lines = read_ledger(run / "ledgers" / "client-00001.jsonl")
    first, *rounds = [line.event for line in lines if line.event]
    assert first == Gaussian(row["warm_start_noise"])
    assert rounds == [SelfComposed(3, PoissonSampled(64 / 479, Gaussian(row["noise_multiplier"])))] * 2
    assert row["probability"] == 64 / 479
    assert row["steps"] == 6


SCALARS = 400
"""Bytes of the names and values beside the arrays, at most."""
DIGITS = 5
"""Bytes by which the layout's numbers may differ in length."""


def network_bytes(run: Path, *networks: str) -> int:
    """Return the bytes of these networks as they travel, each array with its name and its entry in the layout."""
    tensors = load_file(run / "checkpoints" / "round-00002.safetensors")
    chosen = {name: tensor for name, tensor in tensors.items() if name.split("/")[0] in networks}
    return sum(tensor.nbytes + len(name) + len(f"float32 {tensor.shape}") for name, tensor in chosen.items())


def test_planned_bytes_are_those_of_the_networks(document: Callable, run: Path) -> None:
    networks = network_bytes(run, *NETWORKS)
    planned = document()
    for way in ("bytes_down", "bytes_up"):
        assert networks < planned[way] < networks + SCALARS
    assert 4 * 10 * 61 < planned["embedding_bytes"] < 4 * 10 * 61 + SCALARS
    convolutions = document("training.warm_start_family=convolutions")["embedding_bytes"]
    columns = ConvolutionMap((1, 8, 8), seed=0).dimension - 61
    assert convolutions - planned["embedding_bytes"] == pytest.approx(4 * 10 * columns, abs=DIGITS)


def test_dp_fedavg_gan_sends_the_generator_neither_way(document: Callable, run: Path) -> None:
    discriminator = network_bytes(run, "discriminator")
    planned = document("federation.algorithm=dp_fedavg_gan", "federation.generated_images=30")
    images = 4 * 30 * 64
    assert discriminator < planned["bytes_up"] < discriminator + SCALARS
    assert discriminator + images < planned["bytes_down"] < discriminator + images + SCALARS
    more = document("federation.algorithm=dp_fedavg_gan")  # four times the batch
    images = 4 * 64 * (4 * 64 - 30)
    assert more["bytes_down"] - planned["bytes_down"] == pytest.approx(images, abs=DIGITS)


def test_compression_is_planned_for(document: Callable) -> None:
    plain, half, eighth = (document(f"federation.compression={name}") for name in ("none", "float16", "int8"))
    for way in ("bytes_down", "bytes_up", "embedding_bytes"):
        assert 1.5 < plain[way] / half[way] < 2
        assert 2 < plain[way] / eighth[way] < 4  # headers weigh on networks this small


def test_room_for_an_evaluation_is_told(fedgan: Callable, config: Path, tiny: list[str], document: Callable) -> None:
    room = "privacy.evaluation_epsilon=2"
    planned = document(room)
    assert planned["evaluation_epsilon"] == 2
    assert planned["epsilon"] < document()["epsilon"] - 0.05
    line = "room is left for one evaluation of epsilon 2 (fedgan evaluate --private-reads 2); fedgan server refuses it"
    assert line in fedgan("plan", config, *tiny, "--set", room).out
    assert "room is left" not in fedgan("plan", config, *tiny).out


def test_a_run_for_a_gpu_can_be_planned_without_one(
    fedgan: Callable, config: Path, tiny: list[str], document: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its budget and its bytes are those of any device; only the time is not known."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    there, here = document("device=cuda"), document()
    assert there.pop("expected_seconds") is None
    assert here.pop("expected_seconds") > 0
    assert there == here
    shown = fedgan("plan", config, *tiny, "--set", "device=cuda").out
    assert "how long it takes is not known here: this machine has no GPU" in shown


def test_json_has_a_fixed_form(document: Callable) -> None:
    planned = document()
    assert list(planned) == [
        "level",
        "trust",
        "epsilon",
        "delta",
        "accountant",
        "rounds",
        "clients_asked",
        "clients_a_round",
        "participations",
        "bytes_down",
        "bytes_up",
        "bytes_a_round",
        "embedding_bytes",
        "expected_seconds",
        "worst_client",
        "warm_start_epsilon",
        "evaluation_epsilon",
        "warm_start_releases",
        "epsilon_by_round",
        "epsilon_every",
        "clients",
        "other_sizes",
    ]
    assert (planned["level"], planned["trust"], planned["accountant"]) == ("record", "local", "pld")
    assert (planned["rounds"], planned["clients_a_round"], planned["participations"]) == (2, 3, 2)
    assert 0 < planned["expected_seconds"] < 300


def test_fewer_clients_a_round_are_each_charged_less_often(document: Callable) -> None:
    planned = document("federation.fraction=0.34", "federation.rounds=3", "privacy.level=none")
    assert (planned["clients_a_round"], planned["participations"]) == (1, 1)
    assert {row["steps"] for row in planned["clients"]} == {3}


def test_without_privacy_there_is_no_epsilon(document: Callable) -> None:
    planned = document("privacy.level=none")
    assert [planned[key] for key in ("level", "trust", "epsilon", "delta", "accountant")] == ["none", *[None] * 4]
    assert {row["epsilon"] for row in planned["clients"]} == {None}


def test_without_a_warm_start_nothing_is_sent_for_it(document: Callable) -> None:
    assert document("training.warm_start=none", "privacy.level=none")["embedding_bytes"] == 0


def test_the_table_shows_the_same_figures(fedgan: Callable, document: Callable, config: Path, tiny: list[str]) -> None:
    result = fedgan("plan", config, *tiny)
    row = document()["clients"][2]
    assert (result.code, result.err) == (0, "")
    line = next(line for line in result.out.splitlines() if "00002" in line)
    for word in ("479", "0.1336", "6", f"{row['warm_start_noise']:.3f}", f"{row['noise_multiplier']:.3f}", "9.993"):
        assert f" {word} " in line
    assert "2 rounds, 3 of 3 clients a round, each at most 2 times" in result.out
    assert "a round in all" in result.out
    without = fedgan("plan", config, *tiny, "--set", "federation.rounds=0").out
    assert "no rounds; " in without
    assert "a round in all" not in without
    assert "delta 0.0001" in result.out


@pytest.mark.privacy
def test_the_curve_is_what_the_ledgers_hold_after_each_round(document: Callable, run: Path) -> None:
    planned = document()
    assert planned["epsilon_by_round"] == pytest.approx(spent_by_round([run]).epsilons[planned["worst_client"]])
    assert planned["epsilon_by_round"][-1] == pytest.approx(planned["epsilon"], rel=1e-12)
    alone = epsilon([Gaussian(planned["clients"][0]["warm_start_noise"])], delta=1e-4)
    assert planned["warm_start_epsilon"] == planned["epsilon_by_round"][0] == pytest.approx(alone, rel=1e-12)


@pytest.mark.privacy
def test_more_clients_hold_fewer_records_and_need_more_noise(document: Callable) -> None:
    half, now, twice = document()["other_sizes"]
    worst = document()["clients"][2]
    assert [size["clients"] for size in (half, now, twice)] == [1, 3, 6]
    assert half["records"] == [1437, 1437]
    assert (now["probability"], now["noise_multiplier"]) == (worst["probability"], worst["noise_multiplier"])
    assert now["epsilon_at_planned_noise"] == pytest.approx(worst["epsilon"])
    assert half["probability"] == pytest.approx(64 / 1437)
    assert half["noise_multiplier"] < now["noise_multiplier"] < twice["noise_multiplier"]
    assert half["epsilon_at_planned_noise"] < now["epsilon_at_planned_noise"] < twice["epsilon_at_planned_noise"]
    assert twice["bytes_a_round"] == 2 * now["bytes_a_round"] == 6 * (document()["bytes_down"] + document()["bytes_up"])


def test_data_that_cannot_be_split_so_is_said(fedgan: Callable, config: Path, tiny: list[str]) -> None:
    sets = ("--set", "training.batch_size=400", "--set", "privacy.level=none")
    result = fedgan("plan", config, *tiny, *sets)
    assert result.code == 0
    assert "6 clients: not possible: training.batch_size = 400 is not accepted" in result.out


CLIENT_LEVEL = (
    "privacy.level=client",
    "privacy.trust=aggregator",
    "privacy.delta=0.01",
    "federation.algorithm=dp_fedavg_gan",
    "federation.fraction=0.5",
)


@pytest.mark.privacy
def test_at_level_client_everyone_is_asked_and_charged_in_each_round(document: Callable) -> None:
    planned = document(*CLIENT_LEVEL)
    assert (planned["clients_asked"], planned["clients_a_round"], planned["participations"]) == (3, 1.5, 2)
    assert {(row["probability"], row["steps"]) for row in planned["clients"]} == {(0.5, 2)}
    assert planned["bytes_a_round"] == 3 * planned["bytes_down"] + round(1.5 * planned["bytes_up"])
    assert len(planned["epsilon_by_round"]) == 3


def test_fedsgd_sends_the_gradient_of_the_discriminator(document: Callable, run: Path) -> None:
    planned = document("federation.algorithm=fedsgd", "federation.local_steps=1", "privacy.trust=aggregator")
    discriminator = network_bytes(run, "discriminator")
    for way in ("bytes_down", "bytes_up"):
        assert abs(planned[way] - discriminator) < SCALARS


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ((), ("added by each client", "hides single records")),
        (CLIENT_LEVEL, ("update, added by the server", "hides whole clients", "1.5 are expected")),
    ],
)
def test_the_words_fit_the_level(
    fedgan: Callable, config: Path, tiny: list[str], sets: tuple[str, ...], words: tuple[str, ...]
) -> None:
    result = fedgan("plan", config, *tiny, *(word for item in sets for word in ("--set", item)))
    assert result.code == 0
    for word in words:
        assert word in result.out


def test_the_curve_is_drawn(fedgan: Callable, config: Path, tiny: list[str], tmp_path: Path) -> None:
    assert fedgan("plan", config, *tiny, "--plot", tmp_path / "plan.png").code == 0
    with Image.open(tmp_path / "plan.png") as image:
        assert image.format == "PNG"


def test_a_curve_that_cannot_be_drawn_is_refused(
    refused: Callable, config: Path, tiny: list[str], tmp_path: Path
) -> None:
    assert "ends in .png" in refused("plan", config, *tiny, "--plot", tmp_path / "plan.svg")
    none = ("--set", "privacy.level=none")
    assert "no epsilon to draw" in refused("plan", config, *tiny, *none, "--plot", tmp_path / "plan.png")


def test_planning_writes_nothing(
    fedgan: Callable, config: Path, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert fedgan("plan", config, *tiny).code == 0
    assert list(tmp_path.iterdir()) == []
