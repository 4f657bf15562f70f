"""In words: what the schema accepts, and what was probably meant."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from fedgan.config.schema import Config

_LIMITS = {"ge": "at least", "gt": "greater than", "le": "at most", "lt": "less than"}


def accepted(key: str) -> str:
    """Return in words what the schema accepts for dotted `key`."""
    annotation, metadata = _field(key)
    return _describe(annotation, metadata)


def likely_choice(key: str, value: object) -> str:
    """Return "did you mean …? " where `key` takes one of a few words and `value` resembles one, else ""."""
    annotation, _ = _field(key)
    if get_origin(annotation) is not Literal or not isinstance(value, str):
        return ""
    nearest = get_close_matches(value, map(str, get_args(annotation)), n=1, cutoff=0.5)
    return f"did you mean {nearest[0]!r}? " if nearest else ""


def unknown_key(key: str, known: Sequence[str]) -> str:
    """Return the message about `key`, which is not among the `known` dotted keys, with the nearest of them."""
    tables = sorted({name.rpartition(".")[0] for name in known} - {""})
    if key in tables:
        return f"{key} is a table, not a value"
    if nearest := _nearest(key, known):
        return f"{key} is an unknown key: did you mean {nearest!r}?"
    if close := get_close_matches(key, [table for table in tables if "." not in key], n=1, cutoff=0.6):
        return f"{key} is an unknown table: did you mean {close[0]!r}?"
    table = key.rpartition(".")[0]
    if table in tables:
        return f"{key} is an unknown key: {table} has {', '.join(_leaves(table, known))}"
    return f"{key} is an unknown key: the tables are {', '.join(tables)}"


def _nearest(key: str, known: Sequence[str]) -> str | None:
    """Look in the key's own table, then for the same name in other tables, then for a similar name anywhere."""
    table, _, leaf = key.rpartition(".")
    siblings = _leaves(table, known)
    if close := get_close_matches(leaf, siblings, n=1, cutoff=0.6):
        return siblings[close[0]]
    namesakes = [name for name in known if name.rpartition(".")[2] == leaf]
    if namesakes:
        return get_close_matches(key, namesakes, n=1, cutoff=0.0)[0]
    others = {name.rpartition(".")[2]: name for name in known}
    close = get_close_matches(leaf, others, n=1, cutoff=0.6)
    return others[close[0]] if close else None


def _leaves(table: str, known: Sequence[str]) -> dict[str, str]:
    return {name.rpartition(".")[2]: name for name in known if name.rpartition(".")[0] == table}


def _field(key: str) -> tuple[Any, Sequence[Any]]:
    model: type[BaseModel] = Config
    *tables, leaf = key.split(".")
    for name in tables:
        model = model.model_fields[name].annotation  # type: ignore[assignment]
    field = model.model_fields[leaf]
    return field.annotation, field.metadata


def _describe(annotation: Any, metadata: Sequence[Any]) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        choices = [repr(choice) for choice in get_args(annotation)]
        return f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
    if origin in (UnionType, Union):
        return " or ".join(_describe(part, metadata) for part in get_args(annotation))
    if hasattr(annotation, "__metadata__"):
        return _describe(annotation.__origin__, [*annotation.__metadata__, *metadata])
    parts = [part for item in metadata for part in (getattr(item, "metadata", None) or [item])]
    # Where a limit is open and infinity refused, "finite" has to be said.
    finite = any(getattr(part, "allow_inf_nan", None) is False for part in parts)
    number = "a finite number" if finite else "a number"
    words = {int: "a whole number", float: number, str: "a string", bool: "true or false"}[annotation]
    if any(getattr(part, "pattern", None) for part in parts):
        words += " without control characters"
    limits = [
        f"{limit} {getattr(part, name)}" for part in parts for name, limit in _LIMITS.items() if hasattr(part, name)
    ]
    return f"{words} {' and '.join(limits)}".strip()
