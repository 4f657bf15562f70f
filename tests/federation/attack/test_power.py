"""What the gradient canaries prove about a sound vault: never more than it claims, and as much as the field's figures.

Sound vaults are seeded nowhere: noise and samples come from the operating system, coins from the seeds below.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean

import pytest

from fedgan.audit.attack.findings import Finding

pytestmark = [pytest.mark.privacy, pytest.mark.slow]

Attack = Callable[..., Finding]


@pytest.mark.parametrize("epsilon", [1.0, 5.0, 10.0])
def test_honest_noise_is_below_the_claim(attack: Attack, epsilon: float) -> None:
    """One of 20 seeds may be above it: at 95 % confidence that is expected of the worst mechanism there is.

    The bounds prove about a third of a Gaussian mechanism's epsilon, so that a sound vault has none in fact: the test
    fails by chance in fewer than one run in a million.
    """
    findings = [attack(epsilon, canaries=400, rounds=2, seed=seed) for seed in range(20)]
    assert sum(finding.exceeded for finding in findings) <= 1
    for finding in findings:
        assert finding.claimed == pytest.approx(epsilon, rel=0.02)
    assert mean(finding.auc for finding in findings) > 0.55  # the attack does see something


def test_the_power_is_at_least_the_fields_at_a_thousand_canaries(attack: Attack) -> None:
    """Claimed 10 at 1e-5, every record in every step: the mechanism is Gaussian with mu = 2.00.

    google-deepmind/jax_privacy's one-run auditor proves 2.41 from 1,000 canaries at 95 % (mean of 3 draws of exact
    scores). One audit has a standard deviation of 0.2 around 3.0 here, and its area under the curve one of 0.0081
    around 0.921: the bounds on the means of 8 are more than five and a half deviations away.
    """
    findings = [attack(10.0, canaries=1000, batch_size=48, rounds=1, seed=seed) for seed in range(8)]
    one_run = mean(finding.bounds[0].epsilon for finding in findings)
    f_dp = mean(finding.bounds[1].epsilon for finding in findings)
    assert 2.41 <= one_run <= 4.0
    assert one_run < f_dp < 10.0
    assert mean(finding.auc for finding in findings) == pytest.approx(0.921, abs=0.02)  # Phi(2 / sqrt 2)
