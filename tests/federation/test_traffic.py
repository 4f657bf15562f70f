"""What travels: counted in a run, foretold by the plan, compressed both ways, and rounded after the noise."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from fedgan.config import Config
from fedgan.errors import UsageError
from fedgan.federation import simulation
from fedgan.federation.clients import discover
from fedgan.federation.compression import pack
from fedgan.federation.forecast import forecast
from fedgan.federation.grid import InProcessGrid
from fedgan.federation.layout import join, split
from fedgan.federation.records import count_bytes, from_records, question_of, to_records
from fedgan.federation.relay import client_app
from fedgan.federation.requests import GENERATED, EmbedRequest, Release, TrainRequest
from fedgan.federation.server import Server
from fedgan.federation.server_steps import ClippedUpdates
from fedgan.federation.simulation import Outcome
from fedgan.federation.strategy import GanStrategy
from fedgan.federation.vault import Vault
from fedgan.privacy.noise import SeededNoise
from fedgan.privacy.plan import make_plan

MakeVault = Callable[..., Vault]
MakeServer = Callable[..., Server]
LOSSY = ["float16", "int8"]
TOLERANCE = {"float16": 2**-11, "int8": 0.5 / 127}
"""Largest error over the largest magnitude of a block."""


def request(compression: str, **arrays: Any) -> TrainRequest:
    named = {name.replace("__", "/"): np.asarray(array, np.float32) for name, array in arrays.items()}
    return TrainRequest("run", 1, 4, 0, 2, named, 0, compression)


def normal(*shape: int, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


# Records


@pytest.mark.parametrize("compression", ["none", *LOSSY])
def test_a_request_says_itself_how_it_is_read(compression: str) -> None:
    sent = request(compression, generator__w=normal(3, 200))
    found = from_records(TrainRequest, to_records(sent))
    assert found.compression == compression
    error = np.abs(found.arrays["generator/w"] - sent.arrays["generator/w"]).max()
    if compression == "none":
        assert error == 0
    else:
        assert 0 < error <= 1.001 * TOLERANCE[compression] * np.abs(sent.arrays["generator/w"]).max()


@pytest.mark.parametrize("compression", LOSSY)
def test_networks_come_back_as_updates_which_round_finer_than_they_would(compression: str) -> None:
    """The server keeps its networks as they are and adds what a client did to the rounded ones that it was sent."""
    weights, update = normal(3, 200), normal(3, 200, scale=1e-3, seed=1)
    asked = request(compression, generator__w=weights)
    at_client = from_records(TrainRequest, to_records(asked))
    release = Release("00000", 1, {"generator/w": at_client.arrays["generator/w"] + update})
    question = question_of(asked, {"generator/w": (3, 200)})
    found = from_records(Release, to_records(release, at_client), question).arrays["generator/w"]
    assert found.dtype == np.float32
    error = np.abs(found - (weights + update)).max()
    assert 1e-8 < error <= 1.1 * TOLERANCE[compression] * np.abs(update).max() + 1e-6
    assert error < 0.01 * TOLERANCE[compression] * np.abs(weights).max()


@pytest.mark.parametrize("compression", LOSSY)
def test_what_did_not_go_out_comes_back_as_it_is(compression: str) -> None:
    asked = request(compression, discriminator__w=normal(5, scale=100))
    sums = {"gradient/w": normal(5, seed=2)}
    question = question_of(asked, {"gradient/w": (5,)})
    found = from_records(Release, to_records(Release("00000", 1, sums), asked), question).arrays["gradient/w"]
    np.testing.assert_allclose(found, sums["gradient/w"], atol=TOLERANCE[compression] * 3)


@pytest.mark.parametrize("value", ["int4", "", 8, ["int8"]])
def test_an_unknown_compression_is_refused(value: Any) -> None:
    records = to_records(EmbedRequest("run", 8, 1))
    records["fields"]["compression"] = value  # type: ignore[index]
    with pytest.raises(ValueError, match=r"^compression is none of none, float16, int8$"):
        from_records(EmbedRequest, records)


@pytest.mark.parametrize("compression", ["none", *LOSSY])
def test_more_than_was_asked_for_is_refused_before_it_is_decoded(
    compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(compression)
    question = question_of(asked, {"embedding": (4, 1000)})
    fits = to_records(Release("00000", 0, {"embedding": normal(4, 1000)}), asked)
    assert from_records(Release, fits, question).arrays["embedding"].shape == (4, 1000)
    too_much = to_records(Release("00000", 0, {"embedding": normal(4, 1000), "more": normal(800)}), asked)
    many = to_records(Release("00000", 0, {str(number): np.zeros(0, np.float32) for number in range(3)}))
    monkeypatch.setattr("fedgan.federation.records.split", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=r"^\d+ bytes of arrays, over \d+$"):
        from_records(Release, too_much, question)
    with pytest.raises(ValueError, match=r"^3 arrays, over 2$"):
        from_records(Release, many, question)


def test_bytes_are_those_of_arrays_names_and_scalars() -> None:
    array = Array(np.zeros(10, np.float32))
    records = RecordDict({"a": ArrayRecord({"name": array})})
    assert count_bytes(records) == len(array.data) + 4 == 128 + 40 + 4
    records["f"] = ConfigRecord({"x": 1, "yy": 2.5, "t": "caf\u00e9", "l": [1, 2], "e": "", "b": b"123"})
    assert count_bytes(records) == 172 + (1 + 8) + (2 + 8) + (1 + 5) + (1 + 16) + 1 + (1 + 3)


# Rounds


def grid_of(*vaults: Any) -> InProcessGrid:
    return InProcessGrid(client_app(lambda context: vaults[int(context.node_config["partition-id"])]), len(vaults))


class Quiet:
    def __init__(self) -> None:
        self.reports: list[Any] = []

    def warm_start_step(self, step: int, steps: int) -> None: ...

    def after_embedding(self, server: Server) -> None: ...

    def after_round(self, server: Server, report: Any, seconds: float) -> None:
        self.reports.append(report)


def federate(server: Server, *vaults: Any, rounds: int = 1) -> list[Any]:
    grid, observer = grid_of(*vaults), Quiet()
    clients = discover(grid, timeout=None)
    GanStrategy(server, clients, fraction=1.0, rounds=rounds, seed=0, time_limit=0, observer=observer).start(grid)
    return observer.reports


def weights_of(server: Server) -> np.ndarray:
    networks = (server.gan.generator, server.gan.discriminator)
    return np.concatenate([value.numpy().ravel() for module in networks for value in module.state_dict().values()])


@pytest.mark.privacy
@pytest.mark.parametrize(
    ("compression", "answered", "reason"),
    [
        ("int8", "none", r"\d+ bytes of arrays, over \d+"),
        ("none", "int8", "array 'discriminator/[^']+' is not float32"),
        ("float16", "int8", "array 'discriminator/[^']+' is not float16"),
    ],
)
def test_a_client_that_answers_in_another_compression_is_named_and_left_out(
    make_server: MakeServer,
    make_vault: MakeVault,
    monkeypatch: pytest.MonkeyPatch,
    compression: str,
    answered: str,
    reason: str,
) -> None:
    def in_another_way(release: Release, asked: Any) -> RecordDict:
        return to_records(release, replace(asked, compression=answered) if release.client == "00001" else asked)

    monkeypatch.setattr("fedgan.federation.relay.to_records", answering(in_another_way))
    server = make_server(algorithm="dp_fedavg_gan", compression=compression)
    vaults = [make_vault(algorithm="dp_fedavg_gan", client=name) for name in ("00000", "00001", "00002")]
    (report,) = federate(server, *vaults)
    assert report.clients == ["00000", "00002"]
    assert report.refused.keys() == {"00001"}
    assert re.fullmatch(f"unreadable reply: {reason}", report.refused["00001"])


def answering(release_records: Callable[..., RecordDict]) -> Callable[..., RecordDict]:
    def records(payload: Any, answers: Any = None) -> RecordDict:
        return to_records(payload) if answers is None else release_records(payload, answers)

    return records


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_a_scale_that_is_none_is_refused_in_the_clients_name(
    make_server: MakeServer, make_vault: MakeVault, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    def spoiled(release: Release, asked: Any) -> RecordDict:
        records = to_records(release, asked)
        if release.client == "00000":
            arrays = split(records["arrays"]["all"].data, records["layout"])
            scales = next(array for name, array in arrays.items() if name.startswith("scale/"))
            scales.fill(value)
            data, _ = join(arrays)
            records["arrays"]["all"] = Array("uint8", (len(data),), "bytes", data)
        return records

    monkeypatch.setattr("fedgan.federation.relay.to_records", answering(spoiled))
    server = make_server(compression="int8")
    (report,) = federate(server, *[make_vault(client=name) for name in ("00000", "00001")])
    assert report.clients == ["00001"]
    assert "a scale of array" in report.refused["00000"]
    assert "is not finite or below 0" in report.refused["00000"]


@pytest.mark.parametrize("algorithm", ["fedgan", "dp_fedavg_gan"])
@pytest.mark.parametrize("compression", LOSSY)
def test_compressed_rounds_stay_near_the_plain_ones(
    make_server: MakeServer, make_vault: MakeVault, algorithm: str, compression: str
) -> None:
    moved = {}
    for name in ("none", compression):
        server = make_server(algorithm=algorithm, compression=name)
        before = weights_of(server)
        vaults = [make_vault(level="none", algorithm=algorithm, client=client) for client in ("00000", "00001")]
        federate(server, *vaults, rounds=2)
        moved[name] = weights_of(server) - before
    plain, rounded = moved["none"], moved[compression]
    apart = np.linalg.norm(rounded - plain) / np.linalg.norm(plain)
    assert 1e-5 < apart < {"float16": 0.15, "int8": 0.3}[compression]


@pytest.mark.privacy
@pytest.mark.parametrize("compression", LOSSY)
def test_what_is_rounded_is_the_release_itself_and_a_release_given_again_is_the_same(
    make_server: MakeServer, make_vault: MakeVault, compression: str
) -> None:
    """Rounding comes after the noise: what travels is a function of what the vault released and of the request."""
    server, vault = make_server(compression=compression), make_vault()
    asked = server.train_request()
    content = to_records(asked)
    at_client = from_records(TrainRequest, content)
    grid = grid_of(vault)
    node = next(iter(grid.get_node_ids()))
    first, again = (
        next(iter(grid.send_and_receive([Message(to_records(asked), node, "train")]))).content for _ in range(2)
    )
    release = vault.train(at_client)  # kept by the vault, noise and all
    updates = {name: array - at_client.arrays[name] for name, array in release.arrays.items()}
    packed = pack(updates, compression)
    sent = split(first["arrays"]["all"].data, first["layout"])
    assert {name: array.tobytes() for name, array in sent.items()} == {
        name: array.tobytes() for name, array in packed.items()
    }
    assert first["arrays"]["all"].data == again["arrays"]["all"].data
    assert dict(first["layout"]) == dict(again["layout"])
    assert dict(first["fields"]) == dict(again["fields"])


@pytest.mark.privacy
@pytest.mark.parametrize("compression", LOSSY)
@pytest.mark.parametrize("size", [1e-3, 50.0])
def test_at_level_client_the_server_clips_what_it_has_decoded(
    make_server: MakeServer, compression: str, size: float
) -> None:
    """Rounding may lengthen an update; what enters the sum is no longer than the clip."""
    plan = make_plan(
        level="client",
        trust="aggregator",
        records=48,
        clients=1,
        probability=0.5,
        clip=0.1,
        epsilon=10.0,
        delta=1e-3,
        accountant="rdp",
        clipping_engine="opacus",
        warm_start_share=0.0,
        steps_per_round=1,
        participations=3,
    )
    step = ClippedUpdates(
        ("discriminator",), plan=replace(plan, noise_multiplier=0.0), quantile=0, noise=SeededNoise(0)
    )
    server = make_server(algorithm="dp_fedavg_gan", step=step, compression=compression)
    asked = server.train_request()
    at_client = from_records(TrainRequest, to_records(asked))
    networks = {name: array for name, array in at_client.arrays.items() if name != GENERATED}
    update = {name: normal(*array.shape, scale=size, seed=3) for name, array in networks.items()}
    sent = Release("00000", 1, {name: networks[name] + update[name] for name in networks})
    question = question_of(asked, step.expected(server.gan))
    received = from_records(Release, to_records(sent, at_client), question)
    before = np.concatenate([value.numpy().ravel().copy() for value in server.gan.discriminator.state_dict().values()])
    step.move(server.gan, [received], round_number=1, records=48)
    after = np.concatenate([value.numpy().ravel() for value in server.gan.discriminator.state_dict().values()])
    moved = np.linalg.norm(after - before) * 0.5  # the sum, which was divided by the expected half client
    length = np.sqrt(sum(float(np.square(array).sum()) for array in update.values()))
    assert moved == pytest.approx(min(0.1, length), rel=0.01)
    assert moved <= 0.1 * (1 + 1e-5)


# Runs

REFINED = (
    "model.name=mixture",
    "model.width=3",
    "model.latent_dim=5",
    "training.warm_start=mixture",
    "training.warm_start_refinement=true",
    "privacy.level=none",
)
CASES = [
    *(("federation.algorithm=fedgan", f"federation.compression={name}") for name in ("none", *LOSSY)),
    ("federation.algorithm=dp_fedavg_gan", "federation.compression=int8"),
    ("federation.algorithm=dp_fedavg_gan", "federation.generated_images=11", "privacy.level=none"),
    ("federation.algorithm=fedsgd", "federation.local_steps=1", "federation.compression=float16"),
    ("federation.algorithm=fedgan", "training.anchor_weight=1.0", "training.warm_start_features=300"),
    *((*REFINED, f"training.warm_start_refinement_family={family}") for family in ("convolutions", "windows")),
]


@pytest.mark.parametrize("settings", CASES, ids=" ".join)
def test_a_run_measures_what_its_plan_foretells(
    tiny_config: Callable[..., Config], run: Callable[..., Outcome], tmp_path: Path, settings: tuple[str, ...]
) -> None:
    config = tiny_config("federation.rounds=2", *settings)
    outcome = run(config, tmp_path / "run")
    rows = [json.loads(line) for line in (outcome.folder.path / "metrics.jsonl").read_text().splitlines()]
    planned = forecast(config, simulation.check(config, tmp_path / "ledgers"))
    assert [row["round"] for row in rows] == [0, 1, 2]
    assert rows[0]["bytes_up"] == pytest.approx(planned.embedding_bytes, rel=0.02)
    for row in rows[1:]:
        assert row["bytes_down"] == pytest.approx(planned.bytes_down, rel=0.02)
        assert row["bytes_up"] == pytest.approx(planned.bytes_up, rel=0.02)


def test_where_nobody_may_know_who_takes_part_the_bytes_do_not_tell(
    tiny_config: Callable[..., Config], run: Callable[..., Outcome], tmp_path: Path
) -> None:
    config = tiny_config(
        "federation.algorithm=dp_fedavg_gan",
        "privacy.level=client",
        "privacy.trust=aggregator",
        "federation.fraction=0.5",
        "federation.compression=int8",
        "privacy.delta=0.01",
    )
    outcome = run(config, tmp_path / "run")
    rows = [json.loads(line) for line in (outcome.folder.path / "metrics.jsonl").read_text().splitlines()]
    assert [row["bytes_up"] for row in rows[1:]] == [None, None, None]
    assert all(row["bytes_down"] > 0 for row in rows)


def test_too_few_images_for_the_classes_are_refused_before_anything_runs(
    tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    config = tiny_config("federation.algorithm=dp_fedavg_gan", "federation.generated_images=9")
    with pytest.raises(UsageError, match=r"federation.generated_images = 9 is not accepted: give 0, or at least 10"):
        simulation.check(config, tmp_path)
