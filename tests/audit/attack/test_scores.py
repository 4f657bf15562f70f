"""Scores against the densities and the distances that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from fedgan.audit.attack.likelihood import step_evidence
from fedgan.audit.attack.proximity import density_ratio_scores, nearest_neighbour_scores


@pytest.mark.parametrize("probability", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("noise", [0.4, 1.0, 8.0])
def test_evidence_is_the_log_ratio_of_the_densities(probability: float, noise: float) -> None:
    seen = np.linspace(-3, 4, 29)
    with_it = probability * norm.pdf(seen, 1, noise) + (1 - probability) * norm.pdf(seen, 0, noise)
    expected = np.log(with_it / norm.pdf(seen, 0, noise))
    got = step_evidence(seen, probability=probability, noise_multiplier=noise)
    np.testing.assert_allclose(got, expected, atol=1e-9)


def test_evidence_stays_finite_where_densities_underflow() -> None:
    got = step_evidence(np.array([-1e4, 0.0, 1e4]), probability=0.2, noise_multiplier=0.1)
    assert np.isfinite(got).all()
    assert got[0] == pytest.approx(np.log(0.8))  # it cannot have been in the sample
    assert got[2] == pytest.approx(np.log(0.2) + 19999 / 0.02)


def test_without_noise_the_projection_is_the_evidence() -> None:
    seen = np.array([0.0, 1.0, 0.5])
    assert step_evidence(seen, probability=0.2, noise_multiplier=0.0).tolist() == [0.0, 1.0, 0.5]


def test_nearest_neighbours_are_those_of_the_loop() -> None:
    rng = np.random.default_rng(1)
    records, generated = rng.normal(size=(300, 6)), rng.normal(size=(50, 6))
    expected = [-min(float(np.linalg.norm(record - one)) for one in generated) for record in records]
    np.testing.assert_allclose(nearest_neighbour_scores(records, generated), expected, rtol=1e-12)


def test_the_density_ratio_compares_fifth_neighbours() -> None:
    rng = np.random.default_rng(2)
    records, generated, public = rng.normal(size=(7, 3)), rng.normal(size=(40, 3)), rng.normal(size=(30, 3))
    fifth = [
        [np.sort(np.linalg.norm(others - record, axis=1))[4] for record in records] for others in (public, generated)
    ]
    expected = np.log(fifth[0]) - np.log(fifth[1])
    np.testing.assert_allclose(density_ratio_scores(records, generated, public), expected, rtol=1e-12)


def test_copies_and_few_samples_are_scored_finitely() -> None:
    records = np.zeros((3, 2))
    assert np.isfinite(density_ratio_scores(records, records, np.ones((1, 2)))).all()
    assert nearest_neighbour_scores(records, records).tolist() == [-1e-12] * 3
