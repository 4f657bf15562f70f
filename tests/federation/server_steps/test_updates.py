"""Client level: each client's update is clipped as a whole, and the noise is that of the charged event.

Noise comes from fixed seeds, so a statistical bound that holds once holds always; each is set at 5.7 standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from fedgan.federation.arrays import network_arrays
from fedgan.federation.requests import Arrays, Release
from fedgan.federation.server_steps import ClippedUpdates
from fedgan.privacy.noise import SeededNoise
from fedgan.privacy.plan import PrivacyPlan, make_plan
from fedgan.training.gan import Gan

pytestmark = pytest.mark.privacy

SIGMAS = 5.7
MakeGan = Callable[..., Gan]


class Silence:
    """Noise that is always zero, and notes the deviations it was asked for."""

    def __init__(self) -> None:
        self.stds: list[float] = []

    def normal(self, shape: tuple[int, ...], std: float) -> torch.Tensor:
        self.stds.append(std)
        return torch.zeros(shape, dtype=torch.float64)

    def uniform(self, count: int) -> np.ndarray:
        return np.zeros(count)


def plan_of(*, clients: int = 20, probability: float = 0.25, clip: float = 0.5, adaptive: bool = False) -> PrivacyPlan:
    return make_plan(
        level="client",
        trust="aggregator",
        records=48,
        clients=clients,
        probability=probability,
        clip=clip,
        epsilon=5.0,
        delta=1e-3,
        accountant="rdp",
        clipping_engine="book_keeping",
        warm_start_share=0.0,
        steps_per_round=1,
        participations=4,
        adaptive_clip=adaptive,
    )


def step_of(plan: PrivacyPlan, noise: Any, quantile: float = 0.0) -> ClippedUpdates:
    return ClippedUpdates(("discriminator",), plan=plan, quantile=quantile, noise=noise)


def releases(before: Arrays, lengths: list[float]) -> list[Release]:
    """Return releases whose updates have random directions and the given norms."""
    rng = np.random.default_rng(1)
    found = []
    for index, length in enumerate(lengths):
        update = {name: rng.standard_normal(array.shape) for name, array in before.items()}
        norm = math.sqrt(sum(float(np.square(array).sum()) for array in update.values()))
        arrays = {name: (array + update[name] * length / norm).astype(np.float32) for name, array in before.items()}
        found.append(Release(f"{index:05d}", 1, arrays))
    return found


def moved_by(step: ClippedUpdates, gan: Gan, replies: list[Release]) -> np.ndarray:
    before = network_arrays("discriminator", gan.discriminator)
    step.move(gan, replies, round_number=1, records=960)
    after = network_arrays("discriminator", gan.discriminator)
    return np.concatenate([(after[name].astype(np.float64) - before[name]).ravel() for name in before])


def test_the_sum_of_clipped_updates_over_the_expected_clients(make_gan: MakeGan) -> None:
    gan, plan = make_gan(), plan_of()
    before = network_arrays("discriminator", gan.discriminator)
    replies = releases(before, [0.1, 0.4, 3.0])
    expected = np.zeros(sum(array.size for array in before.values()))
    for release, factor in zip(replies, [1.0, 1.0, 0.5 / 3.0], strict=True):
        flat = [(release.arrays[name].astype(np.float64) - before[name]).ravel() for name in before]
        expected += factor * np.concatenate(flat)
    found = moved_by(step_of(plan, Silence()), gan, replies)
    np.testing.assert_allclose(found, expected / (0.25 * 20), rtol=0, atol=2e-6)


def test_one_client_moves_the_networks_by_at_most_the_clip_over_the_expected_clients(make_gan: MakeGan) -> None:
    plan = plan_of()
    before = network_arrays("discriminator", make_gan().discriminator)
    replies = releases(before, [0.2, 1e4, 0.3])
    everybody = moved_by(step_of(plan, Silence()), make_gan(), replies)
    for left_out in range(3):
        others = [release for index, release in enumerate(replies) if index != left_out]
        distance = np.linalg.norm(everybody - moved_by(step_of(plan, Silence()), make_gan(), others))
        assert distance <= 0.5 / 5 * (1 + 1e-3)
        assert distance >= 0.03  # and every client counts


@pytest.mark.parametrize("count", [0, 1, 9])
def test_the_noise_is_that_of_the_plan_whoever_takes_part(make_gan: MakeGan, count: int) -> None:
    plan = plan_of()
    lengths = [0.1] * count
    before = network_arrays("discriminator", make_gan().discriminator)
    clean = moved_by(step_of(plan, Silence()), make_gan(), releases(before, lengths))
    draws = []
    for seed in range(30):
        noisy = moved_by(step_of(plan, SeededNoise(seed)), make_gan(), releases(before, lengths))
        draws.append((noisy - clean) / (plan.noise_multiplier * 0.5 / 5))
    together = np.concatenate(draws)
    assert abs(together.mean()) < SIGMAS / math.sqrt(together.size)
    assert abs(together.var() - 1) < SIGMAS * math.sqrt(2 / together.size)


def test_a_fixed_clip_stays_and_asks_for_no_count(make_gan: MakeGan) -> None:
    noise, plan = Silence(), plan_of()
    step = step_of(plan, noise)
    moved_by(step, make_gan(), [])
    assert step.clip == 0.5
    assert noise.stds == [plan.noise_multiplier * 0.5]


@pytest.mark.parametrize(
    ("lengths", "fraction"),
    # 5 clients are expected, and those who do not come count as half: (inside - 1/2 each) / 5 + 1/2.
    [([], 0.5), ([0.1] * 5, 1.0), ([9.0] * 5, 0.0), ([0.1, 0.1, 0.1, 9.0, 9.0], 0.6), ([0.1] * 30, 1.0)],
)
def test_the_clip_follows_the_quantile(make_gan: MakeGan, lengths: list[float], fraction: float) -> None:
    noise, plan = Silence(), plan_of(adaptive=True)
    step = step_of(plan, noise, quantile=0.7)
    before = network_arrays("discriminator", make_gan().discriminator)
    moved_by(step, make_gan(), releases(before, lengths))
    assert step.clip == pytest.approx(0.5 * math.exp(-0.2 * (fraction - 0.7)), rel=1e-5)
    # A client moves the centred count by 1/2, so its noise is the charged multiplier times 1/2.
    assert noise.stds == [plan.noise_multiplier * 0.5, plan.count_noise / 2]


def test_an_adapted_clip_sets_the_noise_and_survives_a_restart(make_gan: MakeGan) -> None:
    noise, plan = Silence(), plan_of(adaptive=True)
    step = step_of(plan, Silence(), quantile=0.7)
    moved_by(step, make_gan(), [])
    again = step_of(plan, noise, quantile=0.7)
    again.load_state(step.state())
    moved_by(again, make_gan(), [])
    assert noise.stds[0] == pytest.approx(plan.noise_multiplier * 0.5 * math.exp(0.04))
    for damaged in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="clip is"):
            again.load_state({"clip": torch.tensor(damaged)})


def test_an_adaptive_clip_without_a_paid_count_is_refused() -> None:
    with pytest.raises(ValueError, match="pays for its counts"):
        step_of(plan_of(), Silence(), quantile=0.5)
