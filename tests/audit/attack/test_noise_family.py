"""The f-DP bound held against charged events: right for the events themselves, rising with evidence."""

from __future__ import annotations

import numpy as np
import pytest

from fedgan.audit.attack.f_dp import refutes
from fedgan.audit.attack.guesses import Guesses
from fedgan.audit.attack.noise_family import NoiseFamily
from fedgan.privacy.accounting import epsilon
from fedgan.privacy.events import Event, Gaussian, PoissonSampled, SelfComposed

pytestmark = pytest.mark.privacy

DELTA = 1e-5
STEPS = (SelfComposed(25, PoissonSampled(0.2, Gaussian(1.5))),)


@pytest.fixture(scope="module")
def family() -> NoiseFamily:
    return NoiseFamily([STEPS], delta=DELTA)


def scaled(scale: float) -> list[Event]:
    return [SelfComposed(25, PoissonSampled(0.2, Gaussian(1.5 * scale)))]


@pytest.mark.parametrize("step", [-20, 0, 4])
def test_a_member_is_the_events_at_another_noise(family: NoiseFamily, step: int) -> None:
    member = family.member(step)
    assert member is not None
    assert member[1] == pytest.approx(epsilon(scaled(1.1**-step), delta=DELTA), rel=2e-3)


def test_a_members_curve_holds_for_a_test_of_the_steps_it_stands_for(family: NoiseFamily) -> None:
    """Draws of the summed evidence: no threshold beats the curve, and the best come near it."""
    from fedgan.audit.attack.likelihood import step_evidence

    rng = np.random.default_rng(8)
    draws = 200_000
    totals = []
    for present in (False, True):
        total = np.zeros(draws)
        for _ in range(25):
            seen = 1.5 * rng.normal(size=draws) + (present & (rng.random(draws) < 0.2))
            total += step_evidence(seen, probability=0.2, noise_multiplier=1.5)
        totals.append(total)
    member = family.member(0)
    assert member is not None
    for threshold in np.quantile(totals[1], [0.2, 0.5, 0.8, 0.95]):
        hit, alarm = float((totals[1] > threshold).mean()), float((totals[0] > threshold).mean())
        floor = member[0](hit)
        assert 0.9 * alarm - 3e-3 < floor < alarm + 5 * (alarm / draws) ** 0.5 + 1e-3


@pytest.mark.parametrize("correct", [230, 299])
def test_the_bound_is_the_last_refuted_member(family: NoiseFamily, correct: int) -> None:
    guesses = Guesses(1000, 300, correct)
    steps = range(-24, 17, 4)  # every fourth alone, for speed: the bound may lie between two of them
    members = [member for step in steps if (member := family.member(step)) is not None]
    refuted = [refutes(guesses, curve, 0.01) for curve, _ in members]
    last = sum(refuted)
    assert 0 < last < len(members)
    assert refuted == [True] * last + [False] * (len(members) - last)
    assert members[last - 1][1] <= family.bound(guesses, significance=0.01) < members[last][1]


def test_chance_proves_nothing(family: NoiseFamily) -> None:
    assert family.bound(Guesses(1000, 300, 150), significance=0.05) == 0.0


def test_clients_of_different_plans_are_held_to_the_weaker_promise() -> None:
    strong, weak = [Gaussian(8.0)], [Gaussian(1.0)]
    guesses = Guesses(1000, 300, 299)
    both = NoiseFamily([strong, weak], delta=DELTA).member(0)
    alone = NoiseFamily([weak], delta=DELTA).member(0)
    assert both is not None
    assert alone is not None
    assert both[1] == alone[1]
    for probability in np.linspace(0, 1, 21):
        assert both[0](probability) == pytest.approx(alone[0](probability), abs=1e-3)
    assert refutes(guesses, both[0], 0.01) == refutes(guesses, alone[0], 0.01)


def test_events_without_noise_are_never_refuted() -> None:
    assert NoiseFamily([[Gaussian(0.0)]], delta=DELTA).bound(Guesses(1000, 300, 300), significance=0.01) == 0.0
