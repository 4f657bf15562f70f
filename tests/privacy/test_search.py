"""The root search on functions whose roots are known."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from fedgan.privacy.search import smallest_within

CASES: list[tuple[Callable[[float], float], float]] = [
    (lambda x: 3.0 / x, 3.0),
    (lambda x: 1 / x**2 + 1 / x, (1 + math.sqrt(5)) / 2),
    (lambda x: 0.999 + 1 / x**3, 10.0),
    (lambda x: math.inf if x < 7 else 0.0, 7.0),
    (lambda x: math.exp(20 - 10 * x), 2.0),
    (lambda x: 1e-3 / x, 1e-3),
]


@pytest.mark.parametrize("case", range(len(CASES)))
@pytest.mark.parametrize("start", [1.0, 1e-2, 50.0])
def test_returns_the_smallest_argument_within_the_target(case: int, start: float) -> None:
    cost, root = CASES[case]
    calls: list[float] = []

    def counted(x: float) -> float:
        calls.append(x)
        return cost(x)

    found = smallest_within(counted, 1.0, start=start, most=1e6).x
    assert cost(found) <= 1.0
    assert root * (1 - 1e-12) <= found <= root * 1.0015
    assert len(calls) <= 60


def test_a_known_slope_saves_evaluations() -> None:
    cost, root = CASES[1]
    rough = smallest_within(cost, 1.0, start=1.0, most=1e6)
    calls: list[float] = []
    again = smallest_within(lambda x: calls.append(x) or cost(x), 1.0, start=rough.x, most=1e6, slope=rough.slope)
    assert len(calls) == 1
    assert root <= again.x <= root * 1.0015
