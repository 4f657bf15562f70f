"""Nested tables to dotted keys and back: Flower's run configuration is flat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedgan.errors import UsageError, bad_value

Scalar = bool | int | float | str


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Scalar]:
    """Return `tree` with dotted keys, in order; raises UsageError for a leaf that is no scalar."""
    flat: dict[str, Scalar] = {}
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{key}."))
        elif isinstance(value, bool | int | float | str):
            flat[key] = value
        else:
            raise bad_value(key, value, "a number, a string or true/false")
    return flat


def unflatten(flat: Mapping[str, Scalar]) -> dict[str, Any]:
    """Return the nested tables of dotted keys; raises UsageError where a key is a value and a table."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *tables, leaf = key.split(".")
        node = tree
        for name in tables:
            node = node.setdefault(name, {})
            if not isinstance(node, dict):
                raise UsageError(f"{key}: {name!r} is a value and a table at once", key)
        if leaf in node:
            raise UsageError(f"{key}: {leaf!r} is a value and a table at once", key)
        node[leaf] = value
    return tree
