"""Federations that are hard run to their end, within their budget: skewed, small, absent, with other steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedgan.config import Config
from fedgan.errors import UsageError
from fedgan.federation.cohort import absentees
from fedgan.federation.names import check_names
from fedgan.federation.sites import Sites

MakeConfig = Callable[..., Config]
Run = Callable[..., Any]

NO_LEVEL = "privacy.level='none'"
SKEWED = {
    "dirichlet": (
        "partition.clients=10",
        "partition.scheme='dirichlet'",
        "partition.alpha=0.1",
        "training.batch_size=1",
    ),
    "shards": ("partition.clients=10", "partition.scheme='shards'"),
    **{
        f"feature-skew-{skew}": ("partition.clients=5", "partition.scheme='feature_skew'", f"partition.skew='{skew}'")
        for skew in ("contrast", "noise", "rotation")
    },
}
SMALL = ("partition.clients=100", "training.batch_size=8", "federation.fraction=0.2", "federation.rounds=2")


@pytest.mark.parametrize("name", SKEWED)
def test_skewed_clients_run_to_their_end(tiny_config: MakeConfig, run: Run, tmp_path: Path, name: str) -> None:
    outcome = run(tiny_config(NO_LEVEL, *SKEWED[name]), tmp_path / "run")
    assert outcome.stopped == ""
    assert [len(row["clients"]) for row in outcome.folder.read_metrics()] == [len(outcome.records)] * 4
    assert (tmp_path / "run" / "generator.safetensors").exists()


@pytest.mark.privacy
def test_a_hundred_small_clients_run_within_their_budget(tiny_config: MakeConfig, run: Run, tmp_path: Path) -> None:
    outcome = run(tiny_config(*SMALL), tmp_path / "run")
    assert outcome.stopped == ""
    assert 5 < outcome.budget.epsilon <= 10
    assert set(outcome.records.values()) == {14, 15}
    assert [len(row["clients"]) for row in outcome.folder.read_metrics()] == [100, 20, 20]


@pytest.mark.parametrize("option", ["server_optimizer='adam'", "proximal=1e3", "aggregation='median'"])
def test_the_keys_reach_the_networks(tiny_config: MakeConfig, run: Run, tmp_path: Path, option: str) -> None:
    settings = (NO_LEVEL, "training.warm_start='none'")
    run(tiny_config(*settings), tmp_path / "plain")
    run(tiny_config(*settings, f"federation.{option}"), tmp_path / "changed")
    plain, changed = ((tmp_path / name / "generator.safetensors").read_bytes() for name in ("plain", "changed"))
    assert plain != changed


# Absence


def test_half_of_the_clients_are_absent_by_public_coins() -> None:
    clients = [f"{index:05d}" for index in range(1000)]
    rounds = [absentees(clients, 0.5, number, seed=1) for number in range(1, 5)]
    assert all(430 < len(absent) < 570 for absent in rounds)
    assert len({frozenset(absent) for absent in rounds}) == 4
    assert absentees(clients, 0.5, 1, seed=1) == rounds[0] != absentees(clients, 0.5, 1, seed=2)
    assert absentees(clients, 0.0, 1, seed=1) == set()


def test_who_is_absent_is_named_and_charged_nothing(tiny_config: MakeConfig, run: Run, tmp_path: Path) -> None:
    config = tiny_config("partition.clients=8", "federation.absence=0.5")
    names = [f"{index:05d}" for index in range(8)]
    outcome = run(config, tmp_path / "run")
    rows = outcome.folder.read_metrics()
    absent = [absentees(names, 0.5, number, config.seed) for number in (1, 2, 3)]
    assert rows[0]["clients"] == names  # the warm start
    for row, missing in zip(rows[1:], absent, strict=True):
        assert row["refused"] == dict.fromkeys(sorted(missing), "absent")
        assert row["clients"] == [name for name in names if name not in missing]
    charges = {client.client: client.charges for client in outcome.budget.clients}
    assert charges == {name: 4 - sum(name in missing for missing in absent) for name in names}


def test_a_round_without_anybody_changes_nothing(tiny_config: MakeConfig, run: Run, tmp_path: Path) -> None:
    outcome = run(tiny_config("federation.absence=0.99", NO_LEVEL), tmp_path / "run")
    rows = outcome.folder.read_metrics()[1:]
    empty = [row for row in rows if not row["clients"]]
    assert empty
    assert all(set(row["refused"].values()) == {"absent"} and row["generator_steps"] == 0 for row in empty)
    assert [row["round"] for row in rows] == [1, 2, 3]
    assert outcome.stopped == ""


# Feature skew


def test_a_vault_holds_the_records_as_its_client_sees_them(tiny_config: MakeConfig, tmp_path: Path) -> None:
    plain = Sites(tiny_config("partition.scheme='feature_skew'", "partition.skew_strength=1e-9"), tmp_path)
    noisy = Sites(tiny_config("partition.scheme='feature_skew'"), tmp_path)
    assert all(np.array_equal(*parts) for parts in zip(plain.parts, noisy.parts, strict=True))
    for index, moved in enumerate([False, True, True]):
        before, after = plain.records_of(index), noisy.records_of(index)
        assert torch.equal(before.labels, after.labels)
        assert torch.allclose(before.images, after.images, atol=1e-6) is not moved
        assert torch.equal(noisy.vault(index)._records.images, after.images)


def test_other_schemes_are_not_skewed(tiny_config: MakeConfig, tmp_path: Path) -> None:
    sites = Sites(tiny_config("partition.skew_strength=1"), tmp_path)
    assert torch.equal(sites.records_of(2).images, sites.data.train.images[sites.parts[2]])


def test_an_unknown_skew_is_refused_before_the_run(tiny_config: MakeConfig) -> None:
    with pytest.raises(UsageError, match=r"partition\.skew = 'blur' is unknown"):
        check_names(tiny_config("partition.skew='blur'"))
