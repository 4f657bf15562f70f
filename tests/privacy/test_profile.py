"""Privacy profiles against the accountant and against dp_accounting called directly."""

from __future__ import annotations

import numpy as np
import pytest
from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism
from scipy.stats import norm

from fedgan.privacy.accounting import epsilon
from fedgan.privacy.events import Event, Gaussian, PoissonSampled, SelfComposed
from fedgan.privacy.profile import LARGEST_EPSILON, privacy_profile

pytestmark = pytest.mark.privacy

MIXED: list[Event] = [Gaussian(2.0), SelfComposed(30, PoissonSampled(0.1, Gaussian(0.8)))]


@pytest.mark.parametrize("delta", [1e-3, 1e-6])
@pytest.mark.parametrize("events", [MIXED, [Gaussian(1.0)], [SelfComposed(5, PoissonSampled(1.0, Gaussian(4.0)))]])
def test_epsilon_is_the_accountants(events: list[Event], delta: float) -> None:
    profile = privacy_profile(events, delta=delta)
    assert profile is not None
    assert profile.epsilon(delta) == pytest.approx(epsilon(events, delta=delta), rel=2e-3)


def test_deltas_are_dp_accountings() -> None:
    epsilons = np.array([0.0, 0.5, 2.0, 5.0])
    profile = privacy_profile([PoissonSampled(0.1, Gaussian(0.8))], delta=1e-5)
    direct = from_gaussian_mechanism(0.8, sampling_prob=0.1)
    assert profile is not None
    np.testing.assert_allclose(
        profile.deltas(epsilons), [direct.get_delta_for_epsilon(e) for e in epsilons], rtol=2e-3, atol=1e-9
    )


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_a_gaussians_profile_is_the_closed_form_and_never_below(scale: float) -> None:
    epsilons = np.linspace(0, 6, 13)
    mu = 1 / scale
    exact = norm.cdf(mu / 2 - epsilons / mu) - np.exp(epsilons) * norm.cdf(-mu / 2 - epsilons / mu)
    profile = privacy_profile([Gaussian(1.0)], delta=1e-5, noise_scale=scale)
    assert profile is not None
    got = profile.deltas(epsilons)
    assert (got >= exact - 1e-10).all()
    np.testing.assert_allclose(got, exact, rtol=5e-3, atol=1e-8)


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.06])
def test_hardly_any_noise_has_no_profile(noise: float) -> None:
    assert epsilon([Gaussian(noise)], delta=1e-5) > LARGEST_EPSILON
    assert privacy_profile([Gaussian(noise)], delta=1e-5) is None


def test_no_event_is_an_error() -> None:
    with pytest.raises(ValueError, match="no event"):
        privacy_profile([], delta=1e-5)
