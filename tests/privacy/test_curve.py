import pytest

from fedgan.privacy.accounting import epsilon
from fedgan.privacy.curve import MOST_COMPUTED, epsilon_curve, spacing
from fedgan.privacy.events import Gaussian, PoissonSampled, SelfComposed

pytestmark = pytest.mark.privacy

POINTS = [(Gaussian(2.0),), (), *[(SelfComposed(5, PoissonSampled(0.1, Gaussian(1.0))),)] * 4, ()]


def exact() -> list[float]:
    return [
        epsilon([event for events in POINTS[: end + 1] for event in events], delta=1e-5) for end in range(len(POINTS))
    ]


def test_each_value_is_epsilon_of_everything_charged_until_then() -> None:
    curve = epsilon_curve(POINTS, delta=1e-5, accountant="pld")
    assert curve == pytest.approx(exact(), rel=1e-12)
    assert curve[0] == curve[1] < curve[2] < curve[5] == curve[6]


@pytest.mark.parametrize("every", [2, 3, 7, 50])
def test_values_that_are_left_out_are_bounded_by_the_next_one(every: int) -> None:
    curve = epsilon_curve(POINTS, delta=1e-5, accountant="pld", every=every)
    assert len(curve) == len(POINTS)
    for number, (value, true) in enumerate(zip(curve, exact(), strict=True), start=1):
        assert value >= true * (1 - 1e-12)
        if number % every == 0 or number == len(POINTS):
            assert value == pytest.approx(true, rel=1e-12)


def test_nothing_charged_costs_nothing() -> None:
    assert epsilon_curve([], delta=1e-5, accountant="pld") == []
    assert epsilon_curve([(), ()], delta=1e-5, accountant="pld") == [0.0, 0.0]


@pytest.mark.parametrize(("points", "curves"), [(11, 5), (600, 1), (601, 1), (200, 100), (0, 3)])
def test_spacing_keeps_the_work_bounded(points: int, curves: int) -> None:
    every = spacing(points, curves)
    assert points * curves / every <= MOST_COMPUTED
    assert every == 1 or points * curves / (every - 1) > MOST_COMPUTED
