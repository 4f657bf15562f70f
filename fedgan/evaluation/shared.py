"""Results that several metrics of one evaluation need, computed once."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")

_FORGETTERS: list[Callable[[], None]] = []


def shared(function: Callable[P, T]) -> Callable[P, T]:
    """Make `function` remember its last result and give it again for the same arguments; see `forget`.

    Data sets are the same if they are the same object.
    """
    remembering = lru_cache(maxsize=1)(function)
    _FORGETTERS.append(remembering.cache_clear)
    return cast(Callable[P, T], remembering)


def forget() -> None:
    """Let go of all that is remembered: it holds images, features and networks in memory."""
    for clear in _FORGETTERS:
        clear()
