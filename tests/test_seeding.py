"""Streams are named: the same name gives the same seed everywhere, another name another seed."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from fedgan.seeding import derive_seed

PATHS = st.lists(st.text() | st.integers(), max_size=4).map(tuple)


def test_seeds_are_the_same_on_every_machine() -> None:
    assert derive_seed(0) == 7520536977032167579
    assert derive_seed(0, "weights") == 174433883055019982
    assert derive_seed(7, "client", 3) == 3701262033113597861


@settings(deadline=None)
@given(st.integers(), PATHS)
def test_seeds_fit_every_generator(seed: int, path: tuple[str | int, ...]) -> None:
    assert 0 <= derive_seed(seed, *path) < 2**63


def test_different_names_have_different_seeds() -> None:
    names: list[tuple[int, tuple[str | int, ...]]] = [
        (0, ()),
        (1, ()),
        (0, ("a",)),
        (0, ("b",)),
        (0, ("a", "b")),
        (0, ("a/str:b",)),
        (0, ("b", "a")),
        (0, ("ab",)),
        (0, (1,)),
        (0, ("1",)),
        (0, (1, 2)),
        (0, (12,)),
        (1, (0,)),
    ]
    for (one, first), (two, second) in combinations(names, 2):
        assert derive_seed(one, *first) != derive_seed(two, *second), (one, first, two, second)
