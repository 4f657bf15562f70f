"""From evidence to a verdict: how the significance is divided, and what counts as a violation."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from fedgan.audit.attack.claim import Claim, instead, ledger_claim
from fedgan.audit.attack.findings import Evidence, judge, judge_all, shares_of
from fedgan.audit.attack.one_run import p_value
from fedgan.audit.attack.report import AttackReport
from fedgan.privacy.accounting import epsilon
from fedgan.privacy.events import Gaussian, PoissonSampled, SelfComposed
from fedgan.privacy.ledger import Ledger

pytestmark = pytest.mark.privacy

STEPS = SelfComposed(4, PoissonSampled(0.25, Gaussian(2.0)))


def evidence(attack: str, claim: Claim, *, shift: float, canaries: int = 1000) -> Evidence:
    rng = np.random.default_rng(4)
    included = rng.random(canaries) < 0.5
    return Evidence(attack, rng.normal(size=canaries) + shift * included, included, claim)


@pytest.mark.parametrize(
    ("attacks", "shares"),
    [
        (["gradient"], [1.0]),
        (["gradient", "input"], [0.5, 0.5]),
        (["gradient", "input", "distance", "density"], [0.5, 1 / 6, 1 / 6, 1 / 6]),
        (["distance", "density"], [0.5, 0.5]),
        ([], []),
    ],
)
def test_the_significance_is_given_away_once(attacks: list[str], shares: list[float]) -> None:
    assert shares_of(attacks) == pytest.approx(shares)
    assert math.isclose(sum(shares_of(attacks)), 1.0) or not attacks


def test_every_bound_is_held_at_its_share_of_the_significance() -> None:
    several = [evidence(name, Claim(1.0, 1e-5), shift=2.0) for name in ("gradient", "input", "distance")]
    for finding, significance in zip(judge_all(several, confidence=0.9), (0.025, 0.0125, 0.0125), strict=True):
        one_run = finding.bounds[0]
        assert one_run.method == "one_run"
        assert p_value(one_run.guesses, one_run.epsilon, 1e-5) == pytest.approx(significance, rel=1e-3)


def test_more_attacks_beside_it_weaken_a_bound() -> None:
    claim = Claim(1.0, 1e-5)
    alone = judge_all([evidence("gradient", claim, shift=2.0)], confidence=0.95)[0]
    beside = judge_all([evidence("gradient", claim, shift=2.0), evidence("input", claim, shift=0.0)], confidence=0.95)[
        0
    ]
    for one, other in zip(alone.bounds, beside.bounds, strict=True):
        assert one.epsilon > other.epsilon > 0


def test_a_bound_above_the_claim_is_a_violation_and_one_below_is_none() -> None:
    for claimed, exceeded in ((0.5, True), (9.0, False), (None, False)):
        finding = judge_all([evidence("gradient", Claim(claimed, 1e-5), shift=3.0)], confidence=0.95)[0]
        report = AttackReport("record", 1e-5, 0.95, ("00000",), 7, (finding,))
        assert finding.exceeded is report.exceeded is exceeded
        document = json.loads(json.dumps(report.to_dict(), allow_nan=False))
        assert document["exceeded"] is exceeded
        assert document["attacks"][0]["claimed_epsilon"] == claimed
        assert document["lower_bound"] == max(bound["epsilon"] for bound in document["attacks"][0]["bounds"])


def test_charged_events_make_the_f_dp_bound_that_of_their_family() -> None:
    claim = Claim(9.0, 1e-5, ((STEPS,),))
    charged = judge_all([evidence("gradient", claim, shift=2.0)], confidence=0.95)[0]
    alone = judge(evidence("gradient", claim, shift=2.0), family=None, significance=0.05)
    one_run, f_dp, _ = (bound.epsilon for bound in charged.bounds)
    assert f_dp > one_run
    assert alone.bounds[0].epsilon == one_run
    assert alone.bounds[1].epsilon < f_dp


def test_a_claim_is_what_the_ledgers_charge_from_a_round_on(tmp_path: Path) -> None:
    paths = [tmp_path / f"client-{client}.jsonl" for client in ("a", "b")]
    for path, rounds in zip(paths, (1, 3), strict=True):
        with Ledger.open(path, client=path.stem, dataset=b"x" * 32, records=48) as ledger:
            ledger.charge(Gaussian(3.0), run="r", round=0, clip=1.0, noise_std=3.0, delta=1e-5)
            for number in range(1, rounds + 1):
                ledger.charge(STEPS, run="r", round=number, clip=1.0, noise_std=2.0, delta=1e-5)
    whole = ledger_claim(paths, delta=1e-5, accountant="pld")
    steps = ledger_claim(paths, delta=1e-5, accountant="pld", first_round=1)
    assert whole.epsilon == epsilon([Gaussian(3.0), STEPS, STEPS, STEPS], delta=1e-5)
    assert steps.epsilon == epsilon([STEPS, STEPS, STEPS], delta=1e-5)
    assert steps.clients == ((STEPS,), (STEPS, STEPS, STEPS))


def test_another_claim_leaves_the_events(tmp_path: Path) -> None:
    claim = Claim(3.0, 1e-5, ((STEPS,),))
    assert instead(claim, None) == claim
    assert instead(claim, 0.5) == Claim(0.5, 1e-5, ((STEPS,),))
