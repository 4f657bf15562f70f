from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedgan.data import PARTITIONS, class_counts, partition
from fedgan.errors import UsageError

Indices = npt.NDArray[np.int64]


def split(scheme: str, labels: Indices, **settings: Any) -> list[Indices]:
    defaults: dict[str, Any] = {"owners": None, "clients": 5, "alpha": 0.5, "shards_per_client": 2, "seed": 0}
    return partition(scheme, labels=labels, **(defaults | settings))


def balanced(records: int, classes: int = 10) -> Indices:
    return np.random.default_rng(7).permutation(np.arange(records) % classes)


def test_the_schemes_are_the_documented_ones() -> None:
    assert PARTITIONS.names() == ["dirichlet", "feature_skew", "iid", "natural", "shards"]


@settings(deadline=None)
@given(data=st.data(), scheme=st.sampled_from(["dirichlet", "feature_skew", "iid", "natural", "shards"]))
def test_every_record_goes_to_exactly_one_client(data: st.DataObject, scheme: str) -> None:
    records = data.draw(st.integers(1, 80))
    labels = np.array(data.draw(st.lists(st.integers(0, 4), min_size=records, max_size=records)), dtype=np.int64)
    owners = np.array(data.draw(st.lists(st.integers(-3, 9), min_size=records, max_size=records)), dtype=np.int64)
    clients = data.draw(st.integers(1, 6))
    try:
        parts = split(
            scheme,
            labels,
            owners=owners,
            clients=clients,
            alpha=data.draw(st.floats(1e-300, 1e9)),
            shards_per_client=data.draw(st.integers(1, 4)),
            seed=data.draw(st.integers(0, 2**32)),
        )
    except UsageError as error:
        assert "partition." in str(error)
        return
    assert len(parts) == clients
    assert all(len(part) > 0 and part.dtype == np.int64 and (np.diff(part) > 0).all() for part in parts)
    assert sorted(np.concatenate(parts).tolist()) == list(range(records))


@pytest.mark.parametrize("scheme", ["iid", "dirichlet", "feature_skew", "shards"])
def test_the_seed_alone_decides(scheme: str) -> None:
    labels = balanced(400)
    first, again, other = (split(scheme, labels, seed=seed) for seed in (5, 5, 6))
    assert [part.tolist() for part in first] == [part.tolist() for part in again]
    assert [part.tolist() for part in first] != [part.tolist() for part in other]


def test_iid_sizes_differ_by_at_most_one_and_classes_are_mixed() -> None:
    labels = balanced(1003)
    parts = split("iid", labels, clients=4)
    assert sorted(len(part) for part in parts) == [250, 251, 251, 251]
    counts = class_counts(labels, parts, 10)
    # Hypergeometric with mean 25 and standard deviation 4.1: five of these, on 40 cells.
    assert counts.min() > 25 - 5 * 4.1
    assert counts.max() < 25 + 5 * 4.1


def test_dirichlet_with_large_alpha_is_even() -> None:
    labels = balanced(1000)
    counts = class_counts(labels, split("dirichlet", labels, alpha=1e9), 10)
    assert counts.tolist() == [[20] * 10] * 5


def test_dirichlet_shuffles_within_a_class() -> None:
    """Records in a file are often sorted by something, such as the day, that no client's share should follow."""
    parts = split("dirichlet", np.zeros(1000, dtype=np.int64), alpha=1e9)
    # Each mean of 200 of 1000 places has a standard deviation of 18; five of these around the middle.
    assert [part.mean() for part in parts] == pytest.approx([499.5] * 5, abs=91)


def test_dirichlet_with_small_alpha_gives_each_class_to_one_client() -> None:
    labels = balanced(1000, classes=40)
    counts = class_counts(labels, split("dirichlet", labels, alpha=1e-6), 40)
    assert ((counts > 0).sum(axis=0) == 1).all()


def test_dirichlet_shares_have_the_distributions_mean_and_variance() -> None:
    clients, alpha, classes = 4, 0.5, 2000
    labels = np.repeat(np.arange(classes), 100)
    shares = class_counts(labels, split("dirichlet", labels, clients=clients, alpha=alpha), classes) / 100
    mean, total = 1 / clients, clients * alpha
    assert shares.mean(axis=1) == pytest.approx([mean] * clients, abs=5 * np.sqrt(mean * (1 - mean) / 3 / classes))
    assert shares.var(axis=1) == pytest.approx([mean * (1 - mean) / (total + 1)] * clients, rel=0.15)


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan"), float("inf"), 1e10])
def test_dirichlet_refuses_an_alpha_out_of_range(alpha: float) -> None:
    with pytest.raises(UsageError, match=r"partition\.alpha"):
        split("dirichlet", balanced(100), alpha=alpha)


def test_shards_hold_few_classes() -> None:
    labels = balanced(1000)
    parts = split("shards", labels, clients=10, shards_per_client=2)
    assert [len(part) for part in parts] == [100] * 10
    counts = class_counts(labels, parts, 10)
    # 20 shards of 50 over classes of 100: a shard lies within one class.
    assert set(counts.flatten().tolist()) <= {0, 50, 100}
    assert ((counts > 0).sum(axis=1) <= 2).all()


@pytest.mark.parametrize("shards", [0, 21])
def test_shards_refuse_more_than_there_are_records(shards: int) -> None:
    with pytest.raises(UsageError, match=r"partition\.shards_per_client.*1 to 20"):
        split("shards", balanced(100), shards_per_client=shards)


def test_natural_clients_are_the_owners() -> None:
    owners = np.array([30, 10, 20, 10, 30, 30])
    parts = split("natural", balanced(6), owners=owners, clients=3)
    assert [part.tolist() for part in parts] == [[1, 3], [2], [0, 4, 5]]


def test_natural_merges_owners_in_turn() -> None:
    owners = np.array([0, 1, 2, 3, 4, 0])
    parts = split("natural", balanced(6), owners=owners, clients=2)
    assert [part.tolist() for part in parts] == [[0, 2, 4, 5], [1, 3]]


def test_natural_needs_owners_and_no_fewer_than_clients() -> None:
    with pytest.raises(UsageError, match=r"partition\.scheme.*who owns"):
        split("natural", balanced(6))
    with pytest.raises(UsageError, match=r"partition\.clients = 4.*at most 3"):
        split("natural", balanced(6), owners=np.array([0, 1, 2, 0, 1, 2]), clients=4)


def test_a_client_without_records_is_named() -> None:
    with pytest.raises(UsageError, match=r"partition\.scheme = 'dirichlet'.*partition\.alpha = 1e-06.*client \d of 5"):
        split("dirichlet", balanced(100, classes=2), alpha=1e-6)


@pytest.mark.parametrize("clients", [0, -1, 7])
def test_the_number_of_clients_is_checked(clients: int) -> None:
    with pytest.raises(UsageError, match=r"partition\.clients.*1 to 6"):
        split("iid", balanced(6), clients=clients)


def test_an_unknown_scheme_offers_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"partition\.scheme.*'dirichlet'"):
        split("dirichelt", balanced(10))


def test_class_counts_show_who_holds_what() -> None:
    labels = np.array([0, 2, 2, 1, 0])
    table = class_counts(labels, [np.array([0, 4, 1]), np.array([2, 3])], num_classes=4)
    assert table.tolist() == [[2, 0, 1, 0], [0, 1, 1, 0]]
    assert table.dtype == np.int64
