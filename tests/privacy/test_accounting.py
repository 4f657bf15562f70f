"""Epsilon against published and independently computed values, and calibration against its target."""

from __future__ import annotations

import math
import subprocess
import sys

import dp_accounting
import numpy as np
import pytest
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant
from opacus.accountants import IAccountant
from opacus.accountants import PRVAccountant as OpacusPrv
from opacus.accountants import RDPAccountant as OpacusRdp

from fedgan.errors import IntegrityError, UsageError
from fedgan.privacy.accountant import ACCOUNTANTS, basic_mechanism
from fedgan.privacy.accounting import calibrate_noise, epsilon
from fedgan.privacy.events import Composed, Event, Gaussian, PoissonSampled, SelfComposed, from_dict, tally

pytestmark = pytest.mark.privacy

DP_SGD = SelfComposed(174_000, PoissonSampled(1 / 118, Gaussian(2.0)))


def google_event(event: Event) -> dp_accounting.DpEvent:
    match event:
        case Gaussian(noise_multiplier):
            return dp_accounting.GaussianDpEvent(noise_multiplier)
        case PoissonSampled(probability, inner):
            return dp_accounting.PoissonSampledDpEvent(probability, google_event(inner))
        case SelfComposed(count, inner):
            return dp_accounting.SelfComposedDpEvent(google_event(inner), count)
        case Composed(events):
            return dp_accounting.ComposedDpEvent([google_event(inner) for inner in events])


def random_events(seed: int) -> list[Event]:
    rng = np.random.default_rng(seed)
    sampled = [
        SelfComposed(
            int(rng.integers(1, 200)),
            PoissonSampled(float(rng.uniform(0.01, 0.3)), Gaussian(float(rng.uniform(1.5, 4)))),
        )
        for _ in range(rng.integers(1, 4))
    ]
    return [Composed((Gaussian(float(rng.uniform(2, 6))), sampled[0])), *sampled[1:]]


@pytest.mark.parametrize(("accountant", "expected"), [("pld", 9.31), ("rdp", 9.995)])
def test_central_dpsgd_reference_value(accountant: str, expected: float) -> None:
    assert epsilon([DP_SGD], delta=1e-5, accountant=accountant) == pytest.approx(expected, rel=0.005)


@pytest.mark.slow
@pytest.mark.thorough
def test_the_accountant_of_privacy_random_variables_agrees_on_the_reference_value() -> None:
    """Slow: its grid has four million points."""
    value = epsilon([DP_SGD], delta=1e-5, accountant="prv")
    assert value == pytest.approx(9.31, rel=0.005)
    assert value >= epsilon([DP_SGD], delta=1e-5)


def opacus_epsilon(accountant: type[IAccountant], events: list[Event], **settings: float) -> float:
    """Return the opinion of an accountant of Opacus, which has a history of (noise multiplier, rate, count)."""
    other = accountant()
    for event, count in tally(events).items():
        probability, noise = basic_mechanism(event)
        other.history.append((noise, probability, count))
    with np.errstate(all="ignore"):
        return float(other.get_epsilon(1e-5, **settings))


def test_opacus_agrees_on_the_reference_value() -> None:
    value = opacus_epsilon(OpacusRdp, [DP_SGD])
    assert value == pytest.approx(9.995, rel=0.005)
    assert epsilon([DP_SGD], delta=1e-5, accountant="rdp") == pytest.approx(value, rel=0.005)


@pytest.mark.filterwarnings("ignore:Optimal order is the largest alpha")
@pytest.mark.parametrize("seed", range(2, 5))
def test_opacus_agrees_on_heterogeneous_events(seed: int) -> None:
    events = random_events(seed)
    rdp, prv = (epsilon(events, delta=1e-5, accountant=name) for name in ("rdp", "prv"))
    assert opacus_epsilon(OpacusRdp, events) == pytest.approx(rdp, rel=0.01)
    assert opacus_epsilon(OpacusPrv, events, eps_error=0.01) == pytest.approx(prv, abs=1e-3)


@pytest.mark.parametrize(
    "steps", [SelfComposed(300, PoissonSampled(0.2, Gaussian(0.5))), PoissonSampled(0.1, Gaussian(0.02))]
)
def test_prv_gives_the_bound_of_rdp_where_no_grid_holds_the_loss(steps: Event) -> None:
    bounds = {name: epsilon([steps], delta=1e-5, accountant=name) for name in ("pld", "rdp", "prv")}
    assert bounds["prv"] == bounds["rdp"] >= bounds["pld"] > 100


def test_prv_gives_the_bound_of_rdp_where_it_finds_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prv_accountant.PRVAccountant.compute_epsilon", lambda *_: (math.nan,) * 3)
    events = [SelfComposed(3, Gaussian(2.71))]  # of no other test, as epsilons are kept
    assert epsilon(events, delta=2e-5, accountant="prv") == epsilon(events, delta=2e-5, accountant="rdp") > 1


def test_what_is_no_number_is_no_epsilon_of_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "rdp" in ACCOUNTANTS.names()
    monkeypatch.setitem(ACCOUNTANTS._entries, "rdp", lambda counts, *, delta, coarse: math.nan)
    assert epsilon([Gaussian(2.72)], delta=2e-5, accountant="rdp") == math.inf  # of no other test, as above


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("accountant", "google"), [("pld", PLDAccountant), ("rdp", RdpAccountant)])
def test_equals_dp_accounting_called_directly(seed: int, accountant: str, google: type) -> None:
    events = random_events(seed)
    direct = google()
    for event in events:
        direct.compose(google_event(event))
    assert epsilon(events, delta=1e-5, accountant=accountant) == pytest.approx(direct.get_epsilon(1e-5), abs=1e-9)


@pytest.mark.parametrize("seed", range(2, 5))
def test_rdp_never_below_pld_and_prv_near_it(seed: int) -> None:
    events = random_events(seed)
    pld = epsilon(events, delta=1e-5)
    assert epsilon(events, delta=1e-5, accountant="rdp") >= pld
    assert pld - 1e-3 <= epsilon(events, delta=1e-5, accountant="prv") <= pld + 0.03  # its error is 0.01 either way


def gaussian_epsilon(z: float, delta: float) -> float:
    """Return epsilon of one Gaussian (Balle and Wang 2018, arXiv:1805.06530, theorem 8, solved for epsilon)."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    def excess(e: float) -> float:
        return float(norm.cdf(0.5 / z - e * z) - math.exp(e) * norm.cdf(-0.5 / z - e * z) - delta)

    return float(brentq(excess, 0, 40, xtol=1e-12))


@pytest.mark.parametrize("count", [1, 5])
def test_gaussians_against_their_closed_form(count: int) -> None:
    """n Gaussians are one of n times 1/z^2."""
    z = 1.3
    exact = gaussian_epsilon(z / math.sqrt(count), 1e-5)
    assert exact <= epsilon([SelfComposed(count, Gaussian(z))], delta=1e-5) <= exact + 1e-3


@pytest.mark.parametrize("delta", [1e-3, 1e-9])
@pytest.mark.parametrize(("accountant", "slack"), [("pld", 1.001), ("rdp", 1.2), ("prv", 1.02)])
def test_epsilon_is_at_the_delta_that_is_asked_for(accountant: str, slack: float, delta: float) -> None:
    """Five Gaussians by their closed form: of 1e-3 and 1e-9 every accountant's bound is the one, and no lower."""
    exact = gaussian_epsilon(4.0 / math.sqrt(5), delta)
    found = epsilon([SelfComposed(5, Gaussian(4.0))], delta=delta, accountant=accountant)
    assert exact <= found <= slack * exact


def test_rounds_compose_and_neither_one_of_them_nor_their_sum_is_the_cost() -> None:
    """A hundred epochs at noise 1 and rate 1/118: accountants that start anew each round report one round's 0.64."""
    epochs = [SelfComposed(118, PoissonSampled(1 / 118, Gaussian(1.0))) for _ in range(100)]  # equal, not identical
    one, all_of_them = epsilon(epochs[:1], delta=1e-5), epsilon(epochs, delta=1e-5)
    assert one == pytest.approx(0.64, rel=0.01)
    assert all_of_them == pytest.approx(5.61, rel=0.005)
    assert epsilon(epochs, delta=1e-5, accountant="prv") == pytest.approx(all_of_them, abs=0.03)
    assert one < all_of_them < 100 * one


def test_a_small_client_pays_for_its_large_rate() -> None:
    """A tenth of the records at the same batch size, each seen as often: the rate is ten times as large."""
    alone = SelfComposed(17_400, PoissonSampled(512 / 6000, Gaussian(2.0)))
    together = SelfComposed(174_000, PoissonSampled(512 / 60_000, Gaussian(2.0)))
    assert epsilon([alone], delta=1e-5) == pytest.approx(42.6, rel=0.005)
    assert epsilon([together], delta=1e-5) == pytest.approx(9.3, rel=0.01)


def test_edges() -> None:
    assert epsilon([], delta=1e-5) == 0.0
    assert epsilon([PoissonSampled(0.0, Gaussian(0.0))], delta=1e-5) == 0.0
    assert epsilon([Gaussian(1.0), Gaussian(0.0)], delta=1e-5) == math.inf
    assert epsilon([PoissonSampled(0.1, Composed((Gaussian(0.0), Gaussian(1.0))))], delta=1e-5) == math.inf
    assert epsilon([SelfComposed(10**300, Gaussian(1.0))], delta=1e-5) == math.inf


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("noise", [1e-6, 1e-3, 0.049])
def test_almost_no_noise_is_a_large_finite_bound(noise: float) -> None:
    value = epsilon([SelfComposed(1000, PoissonSampled(0.1, Gaussian(noise)))], delta=1e-5)
    assert 1e3 < value < math.inf


@pytest.mark.parametrize("delta", [0.0, 1.0, -1.0, math.nan])
def test_delta_out_of_range(delta: float) -> None:
    with pytest.raises(UsageError, match=r"privacy\.delta"):
        epsilon([Gaussian(1.0)], delta=delta)


def test_unknown_accountant_offers_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"privacy\.accountant.*did you mean 'pld'"):
        epsilon([Gaussian(1.0)], delta=1e-5, accountant="plb")


def test_one_sample_shared_by_many_mechanisms_is_not_many_samples() -> None:
    """GS-WGAN's setting (Chen et al. 2020, arXiv:2006.08265): one subsample, 32 Gaussians on it, 20,000 times."""
    nested = SelfComposed(20_000, PoissonSampled(1 / 1000, SelfComposed(32, Gaussian(1.07))))
    flattened = SelfComposed(20_000 * 32, PoissonSampled(1 / 1000, Gaussian(1.07)))
    assert set(tally([nested])) == {PoissonSampled(1 / 1000, SelfComposed(32, Gaussian(1.07)))}
    assert epsilon([nested], delta=1e-5) == pytest.approx(329, rel=0.01)
    assert epsilon([nested], delta=1e-5, accountant="rdp") == pytest.approx(366, rel=0.01)
    assert epsilon([flattened], delta=1e-5) < 10


def test_samples_of_samples_are_refused() -> None:
    with pytest.raises(UsageError, match="no accountant handles"):
        epsilon([PoissonSampled(0.1, PoissonSampled(0.1, Gaussian(1.0)))], delta=1e-5)


def test_tally_flattens_composition_only() -> None:
    step = PoissonSampled(0.1, Gaussian(1.0))
    events = [SelfComposed(3, Composed((step, SelfComposed(2, step), Gaussian(2.0)))), step]
    assert tally(events) == {step: 10, Gaussian(2.0): 3}


@pytest.mark.parametrize("event", [DP_SGD, Composed((Gaussian(1.5), SelfComposed(2, Gaussian(3.0))))])
def test_events_survive_json(event: Event) -> None:
    assert from_dict(event.to_dict()) == event


@pytest.mark.parametrize(
    "row",
    [
        {"kind": "laplace", "noise_multiplier": 1.0},
        {"kind": "gaussian"},
        {"kind": "gaussian", "noise_multiplier": -1.0},
        {"kind": "gaussian", "noise_multiplier": math.nan},
        {"kind": "gaussian", "noise_multiplier": True},
        {"kind": "gaussian", "noise_multiplier": 1.0, "extra": 0},
        {"kind": "poisson_sampled", "probability": 1.5, "event": {"kind": "gaussian", "noise_multiplier": 1.0}},
        {"kind": "self_composed", "count": 1.5, "event": {"kind": "gaussian", "noise_multiplier": 1.0}},
        {"kind": "self_composed", "count": 0, "event": {"kind": "gaussian", "noise_multiplier": 1.0}},
        {"kind": "composed", "events": {}},
        {"kind": ["gaussian"]},
        "gaussian",
        None,
    ],
)
def test_malformed_events_are_refused(row: object) -> None:
    with pytest.raises(IntegrityError):
        from_dict(row)


@pytest.mark.parametrize("accountant", ["pld", "rdp"])
@pytest.mark.parametrize(("target", "delta"), [(10.0, 1e-4), (1.0, 1e-5), (0.1, 1e-4)])
def test_calibrated_noise_meets_the_target_and_less_breaks_it(accountant: str, target: float, delta: float) -> None:
    def events_of(noise: float) -> list[Event]:
        return [Gaussian(60.0), SelfComposed(300, PoissonSampled(0.2, Gaussian(noise)))]

    noise = calibrate_noise(target, delta=delta, events_of=events_of, accountant=accountant)
    assert epsilon(events_of(noise), delta=delta, accountant=accountant) <= target
    assert epsilon(events_of(0.99 * noise), delta=delta, accountant=accountant) > target


def test_calibrated_noise_is_the_smallest_to_two_thousandths() -> None:
    noise = calibrate_noise(2.0, delta=1e-5, events_of=lambda z: [Gaussian(z)])
    assert epsilon([Gaussian(0.998 * noise)], delta=1e-5) > 2.0 >= epsilon([Gaussian(noise)], delta=1e-5)


def test_calibration_by_prv() -> None:
    def events_of(noise: float) -> list[Event]:
        return [SelfComposed(100, PoissonSampled(0.1, Gaussian(noise)))]

    noise = calibrate_noise(3.0, delta=1e-5, events_of=events_of, accountant="prv")
    assert epsilon(events_of(noise), delta=1e-5, accountant="prv") <= 3.0
    assert epsilon(events_of(0.99 * noise), delta=1e-5, accountant="prv") > 3.0


def test_unreachable_target_names_the_key() -> None:
    with pytest.raises(UsageError, match=r"privacy\.epsilon = 1\.0 .* more than 4\.3"):
        calibrate_noise(1.0, delta=1e-5, events_of=lambda noise: [Gaussian(1.0), Gaussian(noise)])


@pytest.mark.parametrize("target", [0.0, -1.0, math.inf, math.nan])
def test_calibration_target_out_of_range(target: float) -> None:
    with pytest.raises(UsageError, match=r"privacy\.epsilon"):
        calibrate_noise(target, delta=1e-5, events_of=lambda noise: [Gaussian(noise)])


WITHOUT_TORCH = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ImportError("torch is not installed")
sys.meta_path.insert(0, Refuse())
import fedgan.audit.budget
import fedgan.privacy.accounting, fedgan.privacy.budget, fedgan.privacy.events, fedgan.privacy.ledger
import fedgan.privacy.plan
from fedgan.privacy.events import Gaussian
for name in ("pld", "rdp", "prv"):
    print(fedgan.privacy.accounting.epsilon([Gaussian(2.0)], delta=1e-5, accountant=name))
"""


def test_no_torch_is_needed() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    here = [epsilon([Gaussian(2.0)], delta=1e-5, accountant=name) for name in ("pld", "rdp", "prv")]
    assert [float(line) for line in done.stdout.split()] == here
