"""Canary clients at level "client": the server's clip, sum and noise are what they see, and its bugs show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedgan.audit.attack.findings import Finding, judge_all
from fedgan.audit.attack.likelihood import step_evidence
from fedgan.config import Config
from fedgan.errors import UsageError
from fedgan.federation.arrays import networks_of
from fedgan.federation.attack import clients as canary_clients
from fedgan.federation.attack.clients import CanaryClients
from fedgan.federation.attack.run import run_with_canaries, watched_sites
from fedgan.federation.attack.sites import Canaries
from fedgan.federation.requests import Release
from fedgan.federation.server_steps import ClippedUpdates, updates
from fedgan.privacy.ledger import read_ledger
from fedgan.privacy.noise import SecureNoise
from fedgan.privacy.plan import make_plan
from fedgan.training.gan import Gan

pytestmark = pytest.mark.privacy

SIGMAS = 5.7  # the noise is the operating system's: a false alarm in some 1e8 runs

WHOLE = (
    "federation.algorithm='dp_fedavg_gan'",
    "privacy.level='client'",
    "privacy.trust='aggregator'",
    "training.warm_start='none'",
)
CANARIES = Canaries((), directions=400, images=0, members=0, seed=1)


@pytest.fixture
def audit(tiny_config: Callable[..., Config], tmp_path: Path) -> Callable[..., Finding]:
    def run(*overrides: str, directions: int = 400) -> Finding:
        config = tiny_config(*WHOLE, "federation.rounds=2", *overrides)
        sites = watched_sites(config, tmp_path, replace(CANARIES, directions=directions))
        (evidence,) = run_with_canaries(config, tmp_path, sites, lambda done: None)
        assert evidence.attack == "update"
        return judge_all([evidence], confidence=0.95)[0]

    return run


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """What is published in the canaries' directions, round by round, in units of the clip of that round."""
    seen: list[np.ndarray] = []

    def note(projections: np.ndarray, **plan: float) -> np.ndarray:
        seen.append(projections)
        return step_evidence(projections, **plan)

    monkeypatch.setattr(canary_clients, "step_evidence", note)
    return seen


@pytest.mark.parametrize("quantile", [0, 0.5])
def test_canaries_are_published_with_the_noise_that_was_charged(
    audit: Callable[..., Finding], published: list[np.ndarray], tmp_path: Path, quantile: float
) -> None:
    """With a clip that adapts too: in units of each round's clip the noise is that of every client's charge.

    Sound noise fails in 6e-7 of runs: four deviations are tested at 1.2e-8 each, and the error rates of the 1,000
    clients that judge refute a claim of 2 with a chance of 4.9e-7 at the worst threshold; guesses do in 1e-19.
    """
    finding = audit("privacy.epsilon=2", f"privacy.clip_quantile={quantile}", directions=2000)
    rows = [line.row for line in read_ledger(tmp_path / "client-00000.jsonl")[1:]]
    multiplier = rows[0]["noise_std"] / rows[0]["clip"]
    assert (len(published), len(rows), rows[0]["level"]) == (2, 2, "client")
    for seen in published:
        # A canary adds 1 or nothing by a fair coin, and every client takes part in every round here.
        assert seen.mean() == pytest.approx(
            finding.included / finding.canaries, abs=SIGMAS * multiplier / np.sqrt(2000)
        )
        assert seen.std() == pytest.approx(np.hypot(multiplier, 0.5), rel=SIGMAS / np.sqrt(4000))
    assert finding.claimed == pytest.approx(2, rel=0.02)
    assert not finding.exceeded


@pytest.mark.parametrize("bug", ["no noise", "no clip"])
def test_a_server_with_a_bug_is_found_by_the_attack_alone(
    audit: Callable[..., Finding], monkeypatch: pytest.MonkeyPatch, bug: str
) -> None:
    add, update = updates.add_noise_to_all, updates._update
    if bug == "no noise":
        monkeypatch.setattr(updates, "add_noise_to_all", lambda sums, std, noise: add(sums, 1e-6 * std, noise))
    else:
        monkeypatch.setattr(updates, "_update", lambda before, after: (update(before, after)[0], 1e-9))
    finding = audit("privacy.epsilon=1")  # without noise all guesses are right: nothing is left to chance
    assert finding.exceeded
    bounds = {bound.method: bound.epsilon for bound in finding.bounds}
    assert finding.claimed == pytest.approx(1, rel=0.02)
    assert bounds["one_run"] > 3
    assert finding.auc > 0.99


@pytest.mark.slow
def test_honest_noise_is_below_the_claim(audit: Callable[..., Finding], tmp_path: Path) -> None:
    """In each of 20 runs. Sound noise fails in 4e-10 of them.

    As in test_power.py: a claim of 5 is refuted by 120 right guesses of 120, and each is right with a chance of 0.81,
    which is 2e-11 a run; the error rates of 200 clients prove 3.5 at most.
    """
    exceeded = 0
    for _ in range(20):
        for path in tmp_path.iterdir():
            path.unlink()
        exceeded += audit("privacy.epsilon=5", "federation.fraction=0.7").exceeded
    assert exceeded == 0


def test_the_other_clients_updates_move_the_networks_as_ever(
    make_gan: Callable[..., Gan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updates, "add_noise_to_all", lambda sums, std, noise: sums)
    plan = make_plan(
        level="client", trust="aggregator", records=1, clients=4, probability=0.5, clip=0.5, epsilon=5.0, delta=1e-3,
        accountant="rdp", clipping_engine="book_keeping", warm_start_share=0.0, steps_per_round=1, participations=3,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    moved = {
        name: (array + rng.normal(size=array.shape)).astype(np.float32)
        for name, array in networks_of(make_gan(), ["discriminator"]).items()
    }
    states, releases = [], [Release("00000", 1, moved)]
    for with_canaries in (False, True):
        gan, noise = make_gan(), SecureNoise()
        step: Any = ClippedUpdates(["discriminator"], plan=plan, quantile=0, noise=noise)
        if with_canaries:
            step = CanaryClients(step, plan=plan, clients=9, num_classes=4, noise=noise, seed=1)
        step.move(gan, releases, round_number=1, records=48)
        states.append(gan.discriminator.state_dict())
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, rtol=1e-5, atol=1e-7)
    assert step.expected(gan).keys() == moved.keys()


def test_without_canary_clients_there_is_nothing_to_attack(tiny_config: Callable[..., Config], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--canaries: at privacy.level = 'client' they alone attack"):
        watched_sites(tiny_config(*WHOLE), tmp_path, replace(CANARIES, directions=0, images=10))
