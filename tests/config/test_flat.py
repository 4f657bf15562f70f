"""Nested tables and dotted keys say the same."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedgan.config import flatten, unflatten
from fedgan.errors import UsageError

NAMES = st.text("abc_", min_size=1, max_size=4)
LEAVES = st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
TREES = st.dictionaries(
    NAMES, st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3)), max_size=4
)


def test_keys_are_dotted_and_keep_their_order() -> None:
    flat = flatten({"seed": 1, "b": {"y": 2.5, "x": {"deep": "text"}}, "a": True})
    assert list(flat.items()) == [("seed", 1), ("b.y", 2.5), ("b.x.deep", "text"), ("a", True)]


@settings(deadline=None)
@given(TREES)
def test_a_tree_comes_back(tree: dict[str, Any]) -> None:
    assert unflatten(flatten(tree)) == tree


@pytest.mark.parametrize("leaf", [[1], None, date(2020, 1, 1), (1, 2)])
def test_a_leaf_that_flower_cannot_carry_is_refused(leaf: object) -> None:
    with pytest.raises(UsageError, match=r"^privacy\.epsilon = .* is not accepted: give a number, a string") as caught:
        flatten({"privacy": {"epsilon": leaf}})
    assert caught.value.key == "privacy.epsilon"


@pytest.mark.parametrize("flat", [{"a": 1, "a.b": 2}, {"a.b": 2, "a": 1}])
def test_a_key_is_no_value_and_table_at_once(flat: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="'a' is a value and a table at once"):
        unflatten(flat)
