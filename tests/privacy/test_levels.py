"""Charges at one level, as they bear on the other."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from fedgan.privacy.accounting import epsilon
from fedgan.privacy.events import Composed, Event, Gaussian, PoissonSampled, SelfComposed
from fedgan.privacy.ledger import Ledger
from fedgan.privacy.levels import of_one_record

pytestmark = pytest.mark.privacy

SAMPLED = SelfComposed(5, PoissonSampled(0.3, Gaussian(2.0)))


def substitution_delta(probability: float, noise: float, epsilon: float) -> float:
    """Hockey-stick divergence of one sampled client whose contribution turns from -1 to 1, by numerical integration.

    Beside the sample stands the value of the client's absence, 0.
    """
    step = noise / 500
    points = [step * index for index in range(-8 * 500, 8 * 500 + 1)]

    def density(point: float, centre: float) -> float:
        def normal(mean: float) -> float:
            return math.exp(-0.5 * ((point - mean) / noise) ** 2) / (noise * math.sqrt(2 * math.pi))

        return (1 - probability) * normal(0.0) + probability * normal(centre)

    return step * sum(max(0.0, density(point, 1.0) - math.exp(epsilon) * density(point, -1.0)) for point in points)


@pytest.mark.parametrize("probability", [0.05, 0.5, 1.0])
@pytest.mark.parametrize("noise", [1.0, 3.0])
def test_one_record_of_a_hidden_client_is_bounded(probability: float, noise: float) -> None:
    """Replacing a contribution has twice its norm as distance: the bound must cover the true divergence."""
    bound = epsilon([of_one_record(PoissonSampled(probability, Gaussian(noise)))], delta=1e-3)
    assert substitution_delta(probability, noise, bound) <= 1.0001e-3  # the sum's own error is 2e-6
    if probability == 1.0:  # and there it is tight
        assert substitution_delta(probability, noise, bound - 2e-3) > 1e-3


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Gaussian(3.0), Gaussian(1.5)),
        (SAMPLED, SelfComposed(5, Gaussian(1.0))),
        (Composed((Gaussian(1.0), SAMPLED)), Composed((Gaussian(0.5), SelfComposed(5, Gaussian(1.0))))),
        (PoissonSampled(0.0, Gaussian(1.0)), Composed(())),
    ],
)
def test_every_kind_of_event_is_converted(event: Event, expected: Event) -> None:
    assert of_one_record(event) == expected


def test_a_ledger_answers_at_either_level(tmp_path: Path) -> None:
    charge = {"run": "run", "round": 1, "clip": 1.0, "noise_std": 1.0, "delta": 1e-5}
    with Ledger.open(tmp_path / "ledger.jsonl", client="a", dataset=b"", records=10) as ledger:
        ledger.charge(SAMPLED, **charge, level="client")
        assert ledger.events_at("client") == (SAMPLED,)
        assert ledger.events_at("record") == (SelfComposed(5, Gaussian(1.0)),)
        ledger.charge(SAMPLED, **charge)
        assert ledger.events_at("record") == (SelfComposed(5, Gaussian(1.0)), SAMPLED)
        assert epsilon(ledger.events_at("client"), delta=1e-5) == math.inf
