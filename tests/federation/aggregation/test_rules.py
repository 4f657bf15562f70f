"""Aggregation rules against slow and obvious versions of themselves, and what each withstands."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedgan.federation.aggregation import AGGREGATIONS, Assumptions
from fedgan.federation.aggregation.krum import squared_distances
from fedgan.federation.aggregation.trimmed_mean import trimmed
from fedgan.federation.requests import Arrays

ROBUST = ["krum", "median", "trimmed_mean"]
SHAPES = {"discriminator/a": (2, 3), "discriminator/b": (4,), "generator/c": ()}


def clients(count: int, seed: int, scale: float = 1.0) -> list[Arrays]:
    rng = np.random.default_rng(seed)
    return [
        {name: np.asarray(scale * rng.standard_normal(shape), np.float32) for name, shape in SHAPES.items()}
        for _ in range(count)
    ]


def flat(arrays: Arrays) -> NDArray[np.float64]:
    return np.concatenate([arrays[name].astype(np.float64).ravel() for name in SHAPES])


def merged(rule: str, parties: list[Arrays], **assumptions: float) -> NDArray[np.float64]:
    found = AGGREGATIONS[rule].merge(parties, Assumptions(**assumptions))  # type: ignore[arg-type]
    assert list(found) == list(SHAPES)
    assert all(found[name].shape == shape and found[name].dtype == np.float32 for name, shape in SHAPES.items())
    return flat(found)


def test_the_rules_are_the_documented_ones() -> None:
    assert AGGREGATIONS.names() == ["krum", "mean", "median", "trimmed_mean"]


# Oracles: one coordinate, or one pair of clients, at a time


@given(count=st.integers(1, 9), seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=40)
def test_the_mean(count: int, seed: int) -> None:
    parties = clients(count, seed, 1e4)
    wanted = np.array([sum(column) / count for column in zip(*map(flat, parties), strict=True)])
    np.testing.assert_allclose(merged("mean", parties), wanted, rtol=1e-6, atol=1e-9)


@given(count=st.integers(3, 9), seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=40)
def test_the_median_is_the_middle_value(count: int, seed: int) -> None:
    parties = clients(count, seed)
    columns = [sorted(column) for column in zip(*map(flat, parties), strict=True)]
    wanted = [(column[(count - 1) // 2] + column[count // 2]) / 2 for column in columns]
    np.testing.assert_allclose(merged("median", parties), wanted, rtol=1e-6, atol=1e-9)


@given(count=st.integers(2, 25), part=st.floats(0.04, 0.49), seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=60)
def test_the_trimmed_mean_leaves_out_both_ends(count: int, part: float, seed: int) -> None:
    parties = clients(count, seed)
    cut = trimmed(count, part)
    assert abs(cut - part * count) < 1 and 2 * cut < count
    columns = [sorted(column)[cut : count - cut] for column in zip(*map(flat, parties), strict=True)]
    wanted = [sum(column) / len(column) for column in columns]
    np.testing.assert_allclose(merged("trimmed_mean", parties, trimmed_part=part), wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("count", "part", "cut"), [(5, 0.2, 1), (100, 0.29, 29), (10, 0.3, 3), (4, 0.2, 0), (4, 0.49, 1)]
)
def test_the_part_that_is_trimmed_is_rounded_down(count: int, part: float, cut: int) -> None:
    assert trimmed(count, part) == cut


@given(faulty=st.integers(0, 3), extra=st.integers(0, 4), kept=st.integers(1, 4), seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=60)
def test_krum_keeps_who_is_nearest_to_the_nearest(faulty: int, extra: int, kept: int, seed: int) -> None:
    count = AGGREGATIONS["krum"].least(Assumptions(faulty_clients=faulty, krum_kept=kept)) + extra
    parties = clients(count, seed)
    vectors = [flat(arrays) for arrays in parties]
    scores = []
    for mine in range(count):
        others = sorted(float(((vectors[mine] - vectors[each]) ** 2).sum()) for each in range(count) if each != mine)
        scores.append(sum(others[: count - faulty - 2]))
    best = sorted(sorted(range(count), key=lambda index: scores[index])[:kept])
    wanted = np.mean([vectors[index] for index in best], axis=0)
    found = merged("krum", parties, faulty_clients=faulty, krum_kept=kept)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_distances_of_honest_clients_survive_somebody_very_far_away() -> None:
    parties = clients(4, 0)
    far = {name: np.full(shape, 1e30, np.float32) for name, shape in SHAPES.items()}
    honest, with_far = squared_distances(parties), squared_distances([far, *parties])
    np.testing.assert_array_equal(with_far[1:, 1:], honest)
    for first, second in combinations(range(4), 2):
        wanted = ((flat(parties[first]) - flat(parties[second])) ** 2).sum()
        assert honest[first, second] == honest[second, first] == pytest.approx(wanted, rel=1e-9)


def test_of_equal_clients_krum_takes_the_first() -> None:
    same = clients(1, 3)[0]
    np.testing.assert_array_equal(merged("krum", [same] * 5), flat(same))


# What every rule keeps


@pytest.mark.parametrize("rule", ["mean", *ROBUST])
def test_clients_that_agree_are_left_as_they_are(rule: str) -> None:
    same = clients(1, 1)[0]
    np.testing.assert_array_equal(merged(rule, [same] * 7), flat(same))


@pytest.mark.parametrize("rule", ["mean", *ROBUST])
def test_large_finite_values_stay_finite(rule: str) -> None:
    largest = np.finfo(np.float32).max
    parties = [{name: np.full(shape, largest, np.float32) for name, shape in SHAPES.items()} for _ in range(6)]
    np.testing.assert_array_equal(merged(rule, parties), np.full(11, largest))


@given(rule=st.sampled_from(["mean", "median", "trimmed_mean"]), seed=st.integers(0, 1000), data=st.data())
@settings(deadline=None, max_examples=30)
def test_the_order_of_clients_does_not_matter(rule: str, seed: int, data: st.DataObject) -> None:
    parties = clients(6, seed)
    shuffled = data.draw(st.permutations(parties))
    np.testing.assert_allclose(merged(rule, parties), merged(rule, shuffled), rtol=1e-6, atol=1e-9)


# What faulty clients can do


@given(
    rule=st.sampled_from(ROBUST),
    faulty=st.integers(1, 2),
    kind=st.sampled_from(["huge", "flipped", "noise"]),
    seed=st.integers(0, 10**6),
)
@settings(deadline=None, max_examples=60)
def test_faulty_clients_cannot_lead_a_robust_rule_away(rule: str, faulty: int, kind: str, seed: int) -> None:
    """Honest clients agree to 0.01; whatever two of seven others send, the result is as near to them as they are."""
    rng = np.random.default_rng(seed)
    centre = flat(clients(1, seed, 10.0)[0])
    honest = [as_arrays(centre + 0.01 * rng.uniform(-1, 1, centre.size)) for _ in range(7 - faulty)]
    bad = {"huge": 1e20 * np.sign(centre), "flipped": -10 * centre, "noise": 1e3 * rng.standard_normal(centre.size)}[
        kind
    ]
    parties = [*(as_arrays(bad) for _ in range(faulty)), *honest]
    found = merged(rule, parties, faulty_clients=2, trimmed_part=0.3)
    assert np.abs(found - centre).max() <= 0.01 + 1e-4
    assert np.abs(merged("mean", parties) - centre).max() > 1


def as_arrays(vector: NDArray[np.float64]) -> Arrays:
    ends = np.cumsum([int(np.prod(shape)) for shape in SHAPES.values()])[:-1]
    pieces = zip(SHAPES.items(), np.split(vector, ends), strict=True)
    return {name: piece.reshape(shape).astype(np.float32) for (name, shape), piece in pieces}


@pytest.mark.parametrize(
    ("rule", "assumptions", "least"),
    [
        ("mean", {}, 1),
        ("median", {}, 3),
        ("trimmed_mean", {"trimmed_part": 0.2}, 5),
        ("trimmed_mean", {"trimmed_part": 0.1}, 10),
        ("trimmed_mean", {"trimmed_part": 0.3}, 4),
        ("trimmed_mean", {"trimmed_part": 0.49}, 3),
        ("krum", {"faulty_clients": 0}, 3),
        ("krum", {"faulty_clients": 1}, 5),
        ("krum", {"faulty_clients": 3}, 9),
        ("krum", {"faulty_clients": 1, "krum_kept": 2}, 5),
        ("krum", {"faulty_clients": 1, "krum_kept": 4}, 7),
    ],
)
def test_how_many_clients_a_rule_needs(rule: str, assumptions: dict[str, float], least: int) -> None:
    found = AGGREGATIONS[rule].least(Assumptions(**assumptions))  # type: ignore[arg-type]
    assert found == least
    if rule == "trimmed_mean":
        assert trimmed(least, assumptions["trimmed_part"]) >= 1 > trimmed(least - 1, assumptions["trimmed_part"])
