"""Where a key was given: a mistake is reported with the file and line, or the option, that made it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fedgan.errors import UsageError


@contextmanager
def naming_places(path: Path | None, overrides: Sequence[str] = ()) -> Iterator[None]:
    """Put "FILE:LINE: " or "--set: " before a UsageError about a key that was given there.

    Args:
        path: the TOML file of the configuration, or None.
        overrides: items "KEY=VALUE".
    """
    try:
        yield
    except UsageError as error:
        place = _place(error.key, path, overrides) if error.key else None
        if place is None:
            raise
        raise UsageError(f"{place}: {error}") from error


def parse_override(item: str) -> tuple[str, Any]:
    """Return key and value of "KEY=VALUE"; the value is TOML, or text where it is not TOML."""
    key, separator, value = item.partition("=")
    if not separator or not key.strip():
        raise UsageError(f"--set {item}: give KEY=VALUE, for example privacy.epsilon=1")
    try:
        parsed = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        parsed = {}
    return key.strip(), parsed["value"] if parsed.keys() == {"value"} else value.strip()


def line_of(text: str, key: str) -> int | None:
    """Return the line, from 1 on, with which TOML `text` has given dotted `key`, or None if it never does."""
    lines = text.split("\n")
    for number in range(1, len(lines) + 1):
        try:
            tree: Any = tomllib.loads("\n".join(lines[:number]))
        except tomllib.TOMLDecodeError:
            continue  # inside a value of several lines
        if _holds(tree, key):
            return number
    return None


def _place(key: str, path: Path | None, overrides: Sequence[str]) -> str | None:
    if any(key == parse_override(item)[0] for item in overrides):
        return "--set"
    line = line_of(path.read_text(encoding="utf-8"), key) if path else None
    return f"{path}:{line}" if line else None


def _holds(tree: Any, key: str) -> bool:
    """Tell whether nested `tree` has dotted `key`; a name in it may itself hold dots."""
    if not isinstance(tree, dict):
        return False
    if key in tree:
        return True
    return any(key.startswith(f"{name}.") and _holds(inner, key[len(name) + 1 :]) for name, inner in tree.items())
