"""A plan spends its epsilon, all of it and no more, and says no to what it cannot keep."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from fedgan.errors import UsageError
from fedgan.privacy.accounting import epsilon
from fedgan.privacy.budget import Budget
from fedgan.privacy.events import Composed, Gaussian, PoissonSampled, SelfComposed
from fedgan.privacy.plan import make_plan, warnings

pytestmark = pytest.mark.privacy

DIGITS: dict[str, Any] = {
    "level": "record",
    "records": 300,
    "probability": 0.2,
    "clip": 1.0,
    "epsilon": 10.0,
    "delta": 1e-4,
    "accountant": "pld",
    "clipping_engine": "opacus",
    "warm_start_share": 0.5,
    "steps_per_round": 30,
    "participations": 10,
}


def test_warm_start_and_steps_together_spend_epsilon_tightly() -> None:
    plan = make_plan(**DIGITS)
    assert 0.99 * 10 < plan.planned_epsilon() <= 10
    alone = epsilon([plan.warm_start_event()], delta=1e-4)
    assert 0.99 * 5 < alone <= 5
    assert plan.probability == 0.2
    assert plan.round_event(30) == SelfComposed(30, PoissonSampled(0.2, Gaussian(plan.noise_multiplier)))
    assert plan.planned_events() == (Gaussian(plan.warm_start_noise), *[plan.round_event(30)] * 10)


def test_without_a_warm_start() -> None:
    plan = make_plan(**DIGITS | {"warm_start_share": 0.0})
    assert plan.warm_start_noise == 0
    assert 0.99 * 10 < plan.planned_epsilon() <= 10
    with pytest.raises(ValueError, match="no private warm start"):
        plan.warm_start_event()


@pytest.mark.parametrize("accountant", ["pld", "rdp"])
def test_a_warm_start_of_several_releases_costs_what_one_costs(accountant: str) -> None:
    shares = (0.05, 0.2, 0.2, 0.55)
    one = make_plan(**DIGITS | {"accountant": accountant})
    several = make_plan(**DIGITS | {"accountant": accountant, "warm_start_shares": shares})
    assert several.warm_start_noise == pytest.approx(one.warm_start_noise, rel=1e-3)
    noises = [several.warm_start_multiplier(stage) for stage in range(4)]
    assert sum(noise**-2 for noise in noises) == pytest.approx(several.warm_start_noise**-2)
    assert several.planned_events()[:4] == several.warm_start_events() == tuple(Gaussian(noise) for noise in noises)
    assert len(several.planned_events()) == 4 + 10
    assert 0.99 * 5 < several.warm_start_epsilon() <= 5
    assert 0.99 * 10 < several.planned_epsilon() <= 10
    assert several.epsilon_by_round()[0] == several.warm_start_epsilon()
    assert len(several.epsilon_by_round()) == 11


@pytest.mark.parametrize("shares", [(), (0.5, 0.4), (1.5, -0.5), (1.0, 0.0)])
def test_shares_that_are_none_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="warm_start_shares"):
        make_plan(**DIGITS | {"warm_start_shares": shares})


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_without_steps_the_warm_start_gets_all(share: float) -> None:
    plan = make_plan(**DIGITS | {"warm_start_share": share, "participations": 0})
    assert plan.noise_multiplier == 0
    assert 0.99 * 10 < plan.planned_epsilon() <= 10
    with pytest.raises(ValueError, match="no private steps"):
        plan.round_event(1)


def test_level_none_has_neither_noise_nor_events() -> None:
    plan = make_plan(**DIGITS | {"level": "none"})
    assert (plan.noise_multiplier, plan.warm_start_noise, plan.planned_events()) == (0, 0, ())
    assert plan.planned_epsilon() == math.inf
    assert warnings(plan) == []
    with pytest.raises(ValueError, match="no private steps"):
        plan.round_event(1)
    with pytest.raises(ValueError, match="no private warm start"):
        plan.warm_start_event()


def test_more_steps_need_more_noise() -> None:
    assert make_plan(**DIGITS | {"participations": 20}).noise_multiplier > make_plan(**DIGITS).noise_multiplier


def test_equal_arguments_return_the_same_frozen_plan() -> None:
    plan = make_plan(**DIGITS)
    assert make_plan(**DIGITS) is plan
    with pytest.raises(FrozenInstanceError):
        plan.noise_multiplier = 0.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": 0.0}, r"privacy\.epsilon = 0\.0"),
        ({"epsilon": math.nan}, r"privacy\.epsilon"),
        ({"delta": 1.0}, r"privacy\.delta = 1\.0"),
        ({"delta": 0.0}, r"privacy\.delta = 0\.0"),
        ({"clip": 0.0}, r"privacy\.clip = 0\.0"),
        ({"warm_start_share": 1.0}, "leaves no epsilon for the steps"),
        ({"warm_start_share": -0.1}, "warm_start_share"),
        ({"level": "patient"}, r"privacy\.level = 'patient'"),
        ({"accountant": "moments"}, r"privacy\.accountant"),
    ],
)
def test_refusals_name_the_key(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_plan(**DIGITS | change)


@pytest.mark.parametrize("probability", [0.0, -0.1, 1.001, math.nan])
def test_a_rate_is_a_probability(probability: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        make_plan(**DIGITS | {"probability": probability})


CLIENTS: dict[str, Any] = DIGITS | {"level": "client", "trust": "aggregator", "clients": 500, "steps_per_round": 1}


def test_client_level_spends_epsilon_on_one_update_a_round() -> None:
    plan = make_plan(**CLIENTS)
    assert plan.round_event(1) == SelfComposed(1, PoissonSampled(0.2, Gaussian(plan.noise_multiplier)))
    assert len(plan.planned_events()) == 11
    assert 0.99 * 10 < plan.planned_epsilon() <= 10
    assert (plan.units, plan.count_noise) == (500, 0.0)


def test_an_adaptive_clip_is_charged_in_every_round() -> None:
    """The count of clipped updates is a release: what it costs is taken from the update's precision."""
    fixed, adaptive = make_plan(**CLIENTS), make_plan(**CLIENTS | {"adaptive_clip": True})
    mechanisms = Composed((Gaussian(adaptive.noise_multiplier), Gaussian(adaptive.count_noise)))
    assert adaptive.round_event(1) == SelfComposed(1, PoissonSampled(0.2, mechanisms))
    assert adaptive.planned_epsilon() == pytest.approx(fixed.planned_epsilon(), rel=1e-6)
    assert adaptive.noise_multiplier**-2 + adaptive.count_noise**-2 == pytest.approx(fixed.noise_multiplier**-2)
    assert adaptive.noise_multiplier > fixed.noise_multiplier
    uncounted = [PoissonSampled(0.2, Gaussian(adaptive.noise_multiplier))] * 10
    assert epsilon([adaptive.warm_start_event(), *uncounted], delta=1e-4) < adaptive.planned_epsilon()


def test_delta_above_one_over_clients_is_a_warning() -> None:
    assert warnings(make_plan(**CLIENTS)) == []
    [text] = warnings(make_plan(**CLIENTS | {"clients": 20_000}))
    assert "privacy.delta = 0.0001 exceeds 1/clients = 5e-05" in text


def test_delta_above_one_over_records_is_a_warning() -> None:
    assert warnings(make_plan(**DIGITS)) == []
    [text] = warnings(make_plan(**DIGITS | {"delta": 0.01}))
    assert "privacy.delta = 0.01 exceeds 1/records" in text


def test_budget_allows_the_plan_and_not_a_step_more() -> None:
    plan = make_plan(**DIGITS)
    budget = Budget(10.0, 1e-4, certified=plan.planned_events())
    spent = plan.planned_events()[:-1]
    assert budget.allows(spent, plan.round_event(30))
    assert budget.allows(spent, plan.round_event(12))
    assert not budget.allows(plan.planned_events(), plan.round_event(30))


def test_budget_accounts_exactly_for_what_is_not_certified() -> None:
    plan = make_plan(**DIGITS)
    other = Gaussian(50.0)
    certified = Budget(10.0, 1e-4, certified=plan.planned_events())
    assert certified.allows(plan.planned_events()[:5], other)
    assert Budget(10.0, 1e-4).allows((), plan.planned_events()[0])
    assert not Budget(1.0, 1e-4).allows((), plan.planned_events()[0])
    assert not certified.allows((), Gaussian(0.0))


def test_certified_events_beyond_the_limit_certify_nothing() -> None:
    plan = make_plan(**DIGITS)
    tight = Budget(6.0, 1e-4, certified=plan.planned_events())
    assert tight.allows((), plan.warm_start_event())
    assert not tight.allows(plan.planned_events()[:-1], plan.round_event(30))


def test_staying_within_certified_events_needs_no_accounting(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(**DIGITS)
    asked = []
    monkeypatch.setattr("fedgan.privacy.budget.total_epsilon", lambda events, **_: asked.append(tuple(events)) or 9.0)
    budget = Budget(10.0, 1e-4, certified=plan.planned_events())
    assert budget.allows(plan.planned_events()[:3], plan.round_event(30))
    assert asked == [plan.planned_events()]


@pytest.mark.parametrize("change", [{}, {"warm_start_share": 0.0}, {"participations": 0}, {"accountant": "rdp"}])
def test_room_for_an_evaluation_is_left(change: dict[str, Any]) -> None:
    """Claim: with the reserved evaluation, too, everything costs at most epsilon."""
    settings = DIGITS | change
    plan = make_plan(**settings, evaluation_epsilon=2.0)
    [evaluation] = plan.reserved_events()
    assert 0.999 * 2 < epsilon([evaluation], delta=1e-4, accountant=plan.accountant) <= 2
    together = epsilon([*plan.planned_events(), evaluation], delta=1e-4, accountant=plan.accountant)
    assert 0.99 * 10 < together <= 10
    assert plan.planned_epsilon() < together - 0.05
    assert make_plan(**settings).reserved_events() == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evaluation_epsilon": 10.0}, r"privacy\.evaluation_epsilon = 10\.0 .* below privacy\.epsilon"),
        ({"evaluation_epsilon": -1.0}, r"privacy\.evaluation_epsilon"),
        ({"evaluation_epsilon": 9.5}, r"privacy\.evaluation_epsilon = 9\.5 .* a smaller privacy\.warm_start_share"),
    ],
)
def test_room_that_there_is_not_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_plan(**DIGITS | change)


def test_an_evaluation_of_records_has_no_room_at_level_client() -> None:
    with pytest.raises(UsageError, match=r"privacy\.evaluation_epsilon = 1\.0 .*: give 0"):
        make_plan(**DIGITS | {"evaluation_epsilon": 1.0, "level": "client"})
