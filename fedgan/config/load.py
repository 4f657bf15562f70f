"""Reading a configuration: TOML file, `KEY=VALUE` overrides, one clear line for every mistake."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fedgan.config.flat import Scalar, flatten, unflatten
from fedgan.config.schema import Config
from fedgan.errors import UsageError


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Return the configuration in `path` (defaults without one) with `overrides` such as "privacy.epsilon=1".

    Raises:
        UsageError: the file is missing or no TOML, a key is unknown, or a value is not accepted; the line names
            file, line, key, value and what would be accepted.
    """
    text = _read(path) if path else ""
    try:
        flat = flatten(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from None
    given = dict(parse_override(item) for item in overrides)
    return _validate({**flat, **given}, lambda key: "--set" if key in given else f"{path}:{_line_of(text, key)}")


def config_from_flat(flat: Mapping[str, Scalar]) -> Config:
    """Return the configuration of Flower's flat run configuration; raises UsageError."""
    return _validate(dict(flat), lambda key: "run config")


def parse_override(item: str) -> tuple[str, Scalar]:
    """Return key and value of "KEY=VALUE"; the value is TOML, or text where it is not TOML."""
    key, separator, value = item.partition("=")
    if not separator or not key.strip():
        raise UsageError(f"--set {item}: give KEY=VALUE, for example privacy.epsilon=1")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    return key.strip(), next(iter(flatten({key.strip(): parsed}).values()), parsed)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(f"{path}: cannot read the configuration: {reason}") from None


def _validate(flat: dict[str, Scalar], where: Any) -> Config:
    known = flatten(Config().model_dump())
    tables = {key.rpartition(".")[0] for key in known}
    for key in flat:
        if key not in known:
            raise UsageError(f"{where(key)}: {_unknown_key(key, known, tables)}")
    widened = {
        key: float(value) if isinstance(known[key], float) and type(value) is int else value
        for key, value in flat.items()
    }
    try:
        return Config.model_validate(unflatten(widened))
    except ValidationError as error:
        first = error.errors()[0]
        key = _key_of(first, known)
        raise UsageError(f"{where(key)}: {key} = {flat.get(key)!r} is not accepted: give {accepted(key)}") from None


def _unknown_key(key: str, known: Mapping[str, Scalar], tables: set[str]) -> str:
    if key in tables:
        return f"{key} is a table, not a value"
    nearest = get_close_matches(key, known, n=1, cutoff=0.6)
    if not nearest:
        leaf = key.rpartition(".")[2]
        nearest = [name for name in known if name.rpartition(".")[2] == leaf][:1]
    hint = f": did you mean {nearest[0]!r}?" if nearest else f": the tables are {', '.join(sorted(tables - {''}))}"
    return f"{key} is an unknown key{hint}"


def _key_of(error: ErrorDetails, known: Mapping[str, Scalar]) -> str:
    parts = [str(part) for part in error["loc"]]
    while parts and ".".join(parts) not in known:
        parts.pop()
    return ".".join(parts)


def accepted(key: str) -> str:
    """Return in words what the schema accepts for dotted `key`."""
    model: type[BaseModel] = Config
    *tables, leaf = key.split(".")
    for name in tables:
        model = model.model_fields[name].annotation  # type: ignore[assignment]
    field = model.model_fields[leaf]
    return _describe(field.annotation, field.metadata)


def _describe(annotation: Any, metadata: Sequence[Any]) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(annotation))
    if origin in (UnionType, Union):
        return " or ".join(_describe(part, metadata) for part in get_args(annotation))
    if hasattr(annotation, "__metadata__"):
        return _describe(annotation.__origin__, [*annotation.__metadata__, *metadata])
    name = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}[annotation]
    limits = [limit for item in metadata for limit in _limits(item)]
    return " ".join([name, " and ".join(limits)]).strip()


def _limits(item: Any) -> list[str]:
    words = {"ge": "at least", "gt": "greater than", "le": "at most", "lt": "less than"}
    nested = getattr(item, "metadata", None) or [item]
    return [f"{word} {getattr(part, name)}" for part in nested for name, word in words.items() if hasattr(part, name)]


def _line_of(text: str, key: str) -> int:
    """Return the line in TOML `text` that sets dotted `key`, or of its table, or 1."""
    table = ""
    best = 1
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[([^\]]+)\]", line):
            table = header.group(1).strip()
            best = number if key.startswith(f"{table}.") else best
        elif name := re.match(r"\s*([\w.\-\"]+)\s*=", line):
            dotted = f"{table}.{name.group(1)}".lstrip(".").replace('"', "")
            if dotted == key:
                return number
    return best
