"""Curves against what they mean: the least probability that an event keeps when a record leaves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from fedgan.audit.attack.curves import gaussian_curve, profile_curve

pytestmark = pytest.mark.privacy

PROBABILITIES = np.linspace(0.0, 1.0, 41)


def test_pure_privacy_gives_the_two_lines() -> None:
    curve = profile_curve([1.0], [0.0])
    for probability in PROBABILITIES:
        expected = max(probability / math.e, 1 - (1 - probability) * math.e)
        assert curve(probability) == pytest.approx(expected, abs=1e-15)


def test_delta_alone_is_a_shift() -> None:
    curve = profile_curve([0.0], [0.1])
    assert [curve(p) for p in (0.0, 0.05, 0.1, 0.6, 1.0)] == pytest.approx([0.0, 0.0, 0.0, 0.5, 0.9])


@pytest.mark.parametrize("mu", [0.3, 1.0, 2.5])
def test_the_gaussian_curve_is_its_profiles_envelope(mu: float) -> None:
    epsilons = np.linspace(0.0, 30.0, 6001)
    deltas = norm.cdf(mu / 2 - epsilons / mu) - np.exp(epsilons) * norm.cdf(-mu / 2 - epsilons / mu)
    envelope, exact = profile_curve(epsilons, deltas), gaussian_curve(mu)
    for probability in PROBABILITIES:
        assert envelope(probability) == pytest.approx(exact(probability), abs=1e-5)


def test_the_gaussian_curve_is_the_best_tests() -> None:
    mu, threshold = 1.2, 0.4  # the event "x > threshold"
    assert gaussian_curve(mu)(float(norm.sf(threshold - mu))) == pytest.approx(norm.sf(threshold), abs=1e-12)


@pytest.mark.parametrize("curve", [profile_curve([0.0, 1.0, 2.0], [0.3, 0.1, 0.01]), gaussian_curve(1.0)])
def test_curves_rise_and_stay_below_the_diagonal(curve: object) -> None:
    values = [curve(p) for p in PROBABILITIES]  # type: ignore[operator]
    assert values == sorted(values)
    assert all(0 <= value <= p + 1e-12 for value, p in zip(values, PROBABILITIES, strict=True))
