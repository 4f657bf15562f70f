"""Privacy loss distributions against dp_accounting, which they follow to the digit, and against closed forms."""

from __future__ import annotations

import math

import dp_accounting
import numpy as np
import pytest
from dp_accounting.pld import PLDAccountant
from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism
from dp_accounting.rdp import RdpAccountant
from scipy.stats import norm

from fedgan.privacy.accountants.pld import privacy_losses
from fedgan.privacy.accounting import epsilon
from fedgan.privacy.events import Event, Gaussian, PoissonSampled, SelfComposed
from fedgan.privacy.loss_distribution import LossDistribution, subsampled_gaussian

pytestmark = pytest.mark.privacy

MECHANISMS = [(1.0, 0.3), (1.0, 4.0), (0.5, 0.7), (0.2, 1.1), (0.01, 1.0), (0.001, 6.0), (0.9, 20.0)]


def google_event(event: Event) -> dp_accounting.DpEvent:
    match event:
        case Gaussian(noise):
            return dp_accounting.GaussianDpEvent(noise)
        case PoissonSampled(probability, inner):
            return dp_accounting.PoissonSampledDpEvent(probability, google_event(inner))
        case SelfComposed(count, inner):
            return dp_accounting.SelfComposedDpEvent(google_event(inner), count)
    raise AssertionError(event)


def random_events(rng: np.random.Generator) -> list[Event]:
    """Return up to three mechanisms with rates, counts and noises over decades; the noise grows with the count."""
    events: list[Event] = []
    for _ in range(rng.integers(1, 4)):
        noise = 10 ** rng.uniform(-0.1, 1.0)
        if rng.random() < 0.3:
            events.append(Gaussian(noise))
            continue
        count, rate = int(10 ** rng.uniform(0, 3)), 10 ** rng.uniform(-3, 0)
        events.append(SelfComposed(count, PoissonSampled(rate, Gaussian(noise * max(1, count**0.5 * rate)))))
    return events


@pytest.mark.parametrize("removal", [True, False])
@pytest.mark.parametrize(("probability", "noise"), MECHANISMS)
def test_one_mechanism_is_dp_accountings(probability: float, noise: float, removal: bool) -> None:
    theirs = from_gaussian_mechanism(noise, sampling_prob=probability, value_discretization_interval=1e-3)
    pmf = (theirs._pmf_remove if removal else theirs._pmf_add).to_dense_pmf()
    ours = subsampled_gaussian(probability, noise, 1e-3, removal=removal)
    assert (ours.lowest, len(ours.masses)) == (pmf._lower_loss, pmf.size)
    assert ours.infinite == pytest.approx(pmf._infinity_mass, rel=1e-6, abs=0)
    np.testing.assert_allclose(ours.masses, pmf._probs, rtol=0, atol=1e-11)
    for delta in (1e-2, 1e-5, 1e-8):
        assert ours.epsilon(delta) == pytest.approx(pmf.get_epsilon_for_delta(delta), rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("removal", [True, False])
def test_compositions_are_dp_accountings(removal: bool) -> None:
    for (probability, noise), count in ((MECHANISMS[2], 3), (MECHANISMS[4], 500), (MECHANISMS[6], 40)):
        theirs = from_gaussian_mechanism(noise, sampling_prob=probability, value_discretization_interval=1e-3)
        extra = from_gaussian_mechanism(2.0, value_discretization_interval=1e-3)
        total = theirs.self_compose(count).compose(extra)
        pmf = (total._pmf_remove if removal else total._pmf_add).to_dense_pmf()
        ours = subsampled_gaussian(probability, noise, 1e-3, removal=removal).repeated(count)
        ours = ours.then(subsampled_gaussian(1.0, 2.0, 1e-3, removal=removal))
        for delta in (1e-2, 1e-5):
            assert ours.epsilon(delta) == pytest.approx(pmf.get_epsilon_for_delta(delta), abs=1e-9)


def test_both_directions_are_composed_and_the_worse_one_counts() -> None:
    (probability, noise), count = MECHANISMS[3], 30
    losses = privacy_losses({(probability, noise): count}, coarse=False)
    assert losses is not None
    assert len(losses) == 2
    theirs = from_gaussian_mechanism(noise, sampling_prob=probability).self_compose(count)
    directions = [pmf.to_dense_pmf().get_epsilon_for_delta(1e-5) for pmf in (theirs._pmf_remove, theirs._pmf_add)]
    assert [loss.epsilon(1e-5) for loss in losses] == pytest.approx(directions, abs=1e-9)
    assert directions[0] > directions[1] + 0.1
    event = SelfComposed(count, PoissonSampled(probability, Gaussian(noise)))
    assert epsilon([event], delta=1e-5) == pytest.approx(max(directions), abs=1e-9)


def test_infinite_losses_compose() -> None:
    """A sum is infinite if one of its terms is; what a composition cuts off counts as infinite too."""
    loss = LossDistribution(0.1, 2, np.array([0.6, 0.3]), 0.1)
    assert loss.repeated(3).infinite == pytest.approx(1 - 0.9**3, abs=1e-12)
    other = LossDistribution(0.1, -4, np.array([0.5, 0.2]), 0.3)
    assert loss.then(other).infinite == pytest.approx(1 - 0.9 * 0.7, abs=1e-12)
    assert LossDistribution(0.1, 2, np.array([0.7, 0.3]), 0.0).repeated(3).infinite == 1e-15


@pytest.mark.parametrize("noise", [0.4, 1.0, 5.0])
def test_epsilon_is_never_below_the_closed_form(noise: float) -> None:
    """Balle and Wang 2018, arXiv:1805.06530, theorem 8: delta of a Gaussian at an epsilon."""
    ours = subsampled_gaussian(1.0, noise, 1e-4, removal=True)
    for delta in (1e-2, 1e-4, 1e-6):
        found = ours.epsilon(delta)
        exact = norm.cdf(0.5 / noise - found * noise) - math.exp(found) * norm.cdf(-0.5 / noise - found * noise)
        assert 0.999 * delta <= exact <= delta * (1 + 1e-9)


def test_edges_of_epsilon() -> None:
    point = np.array([1.0])
    assert LossDistribution(0.1, -3, point, 0.0).epsilon(1e-5) == 0.0
    assert LossDistribution(0.1, 0, point, 0.0).epsilon(1e-5) == 0.0
    assert LossDistribution(0.1, 5, point, 1e-3).epsilon(1e-5) == math.inf
    # All mass at a loss of 0.5: delta = 1 - exp(epsilon - 0.5), and what is infinite adds to delta.
    assert LossDistribution(0.1, 5, point, 0.0).epsilon(1e-5) == pytest.approx(0.5 + math.log1p(-1e-5), abs=1e-12)
    partly = LossDistribution(0.1, 5, point - 4e-6, 4e-6).epsilon(1e-5)
    assert partly == pytest.approx(0.5 + math.log((1 - 1e-5) / (1 - 4e-6)), abs=1e-12)
    assert LossDistribution(1.0, 800, point, 0.0).epsilon(1e-5) == 800.0  # the other world's mass underflows
    assert LossDistribution(1.0, 800, np.array([1e-6]), 0.0).epsilon(1e-5) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.thorough) for part in range(1, 8))])
def test_two_hundred_random_event_lists_are_dp_accountings(part: int) -> None:
    rng = np.random.default_rng(part)
    for _ in range(25):
        events, delta = random_events(rng), 10 ** rng.uniform(-5, -2)
        pld, rdp = PLDAccountant(), RdpAccountant()
        for event in events:
            pld.compose(google_event(event))
            rdp.compose(google_event(event))
        ours = {name: epsilon(events, delta=delta, accountant=name) for name in ("pld", "rdp")}
        assert ours["pld"] == pytest.approx(pld.get_epsilon(delta), abs=1e-9), events
        assert ours["rdp"] == pytest.approx(rdp.get_epsilon(delta), abs=1e-9), events
        assert ours["rdp"] >= ours["pld"] - 1e-9
