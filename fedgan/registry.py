"""Closed registries: a name in a configuration chooses among what this package ships, never an import path.

In a federation whoever writes the configuration would otherwise choose what clients import.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Generic, TypeVar

from fedgan.errors import unknown_name

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps names to the things that the modules of one package register.

    Args:
        key: the configuration key that chooses from this registry, for error messages.
        package: the package whose modules are imported on first use, so that adding a file adds an entry.
    """

    def __init__(self, key: str, package: str) -> None:
        self.key = key
        self._package = package
        self._entries: dict[str, T] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers its argument as `name`; a name taken twice is a ValueError."""

        def add(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.key}: {name!r} is registered twice")
            self._entries[name] = entry
            return entry

        return add

    def names(self) -> list[str]:
        """Return every registered name, sorted."""
        self._discover()
        return sorted(self._entries)

    def __getitem__(self, name: str) -> T:
        """Return the entry called `name`; raises UsageError with the nearest name if there is none."""
        self._discover()
        if name not in self._entries:
            raise unknown_name(self.key, name, self._entries)
        return self._entries[name]

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True
        for module in iter_modules(import_module(self._package).__path__):
            import_module(f"{self._package}.{module.name}")
