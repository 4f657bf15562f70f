"""Reading a configuration: TOML file, `KEY=VALUE` overrides, one clear line for every mistake."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fedgan.config.explain import accepted, likely_choice, unknown_key
from fedgan.config.flat import Scalar, flatten, unflatten
from fedgan.config.places import naming_places, parse_override
from fedgan.config.schema import Config
from fedgan.errors import UsageError


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Return the configuration in `path` (defaults without one) with `overrides` such as "privacy.epsilon=1".

    Raises:
        UsageError: the file is missing or no TOML, a key is unknown, or a value is not accepted; the line names
            file, line, key, value and what would be accepted.
    """
    with naming_places(path, overrides):
        return _validate(_read(path) if path else {}, dict(parse_override(item) for item in overrides))


def config_from_flat(flat: Mapping[str, Scalar]) -> Config:
    """Return the configuration of Flower's flat run configuration; raises UsageError."""
    try:
        return _validate({}, flat)
    except UsageError as error:
        raise UsageError(f"run config: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    """Return the nested tables in `path`."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(f"{path}: cannot read the configuration: {reason}") from None


def _validate(tree: Mapping[str, Any], overrides: Mapping[str, Any]) -> Config:
    """Return the configuration of the nested `tree` with flat `overrides`."""
    known = flatten(Config().model_dump())
    flat = {**flatten(tree), **overrides}
    tables = {key.rpartition(".")[0] for key in known}
    for key in [*flat, *(table for table in _tables(tree) if table not in tables)]:
        if key not in known:
            raise UsageError(unknown_key(key, list(known)), key)
    try:
        return Config.model_validate(unflatten(flat))
    except ValidationError as error:
        key = _key_of(error.errors()[0], known)
        value = flat[key]
        message = f"{key} = {value!r} is not accepted: {likely_choice(key, value)}give {accepted(key)}"
        raise UsageError(message, key) from None


def _tables(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield f"{prefix}{name}"
            yield from _tables(value, f"{prefix}{name}.")


def _key_of(error: ErrorDetails, known: Mapping[str, Scalar]) -> str:
    parts = [str(part) for part in error["loc"]]
    while ".".join(parts) not in known:
        parts.pop()
    return ".".join(parts)
