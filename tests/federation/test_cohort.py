"""Nobody is asked more often than its privacy plan allows for, and nobody much less."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedgan.federation.cohort import cohort_size, cohorts, participations

settings = {
    "clients": st.integers(1, 40),
    "fraction": st.floats(0.01, 1.0),
    "rounds": st.integers(0, 30),
    "seed": st.integers(0, 2**31 - 1),
}


def names(clients: int) -> list[str]:
    return [f"{index:05d}" for index in range(clients)]


@pytest.mark.privacy
@given(**settings)
def test_every_schedule_is_fair_and_within_the_plan(clients: int, fraction: float, rounds: int, seed: int) -> None:
    schedule = cohorts(names(clients), fraction, rounds, seed)
    size = cohort_size(clients, fraction)
    assert len(schedule) == rounds
    assert 1 <= size <= clients
    turns: Counter[str] = Counter(dict.fromkeys(names(clients), 0))
    for cohort in schedule:
        assert len(cohort) == len(set(cohort)) == size
        assert cohort == sorted(cohort)
        turns.update(cohort)
        assert turns.keys() == set(names(clients))
        assert max(turns.values()) - min(turns.values()) <= 1  # after any number of rounds
    assert max(turns.values()) <= participations(clients, fraction, rounds)


@given(**settings)
def test_a_schedule_is_a_prefix_of_a_longer_one(clients: int, fraction: float, rounds: int, seed: int) -> None:
    short, long = (cohorts(names(clients), fraction, count, seed) for count in (rounds, rounds + 3))
    assert long[:rounds] == short


def test_the_bound_is_reached() -> None:
    turns = Counter(name for cohort in cohorts(names(5), 0.4, 7, seed=0) for name in cohort)
    assert max(turns.values()) == participations(5, 0.4, 7) == 3


def test_everybody_takes_every_round_at_fraction_one() -> None:
    assert cohorts(names(4), 1.0, 3, seed=1) == [names(4)] * 3


def test_another_seed_asks_in_another_order() -> None:
    assert cohorts(names(20), 0.2, 5, seed=1) == cohorts(names(20), 0.2, 5, seed=1)
    assert cohorts(names(20), 0.2, 5, seed=1) != cohorts(names(20), 0.2, 5, seed=2)


@pytest.mark.parametrize(("clients", "fraction", "size"), [(10, 0.5, 5), (3, 0.01, 1), (3, 0.5, 2), (1, 1.0, 1)])
def test_cohort_sizes(clients: int, fraction: float, size: int) -> None:
    assert cohort_size(clients, fraction) == size
