"""Errors a user can act on, each with the exit code that the command line returns for it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class FedganError(Exception):
    """An error that is reported as one line, without a traceback."""

    exit_code = 1


class UsageError(FedganError, ValueError):
    """Bad usage or configuration (exit code 2).

    Args:
        message: one line for the user.
        key: the configuration key it is about, by which the command line finds file and line.
    """

    exit_code = 2

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class ClockError(FedganError):
    """This machine's clock is behind a ledger that it would go on with (exit code 1)."""


class WriteError(FedganError, OSError):
    """A file that cannot be written (exit code 1), by name: what a full or read-only disk says does not name it.

    Args:
        path: the file, as it was before.
        cause: what the system said.
    """

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(cause.errno, cause.strerror or str(cause), str(path))

    def __str__(self) -> str:
        return f"{self.filename}: cannot be written: {self.strerror}"


class BudgetError(FedganError):
    """A privacy budget is exceeded or spent (exit code 3)."""

    exit_code = 3


class IntegrityError(FedganError):
    """A ledger, checkpoint or card was tampered with or is damaged (exit code 4)."""

    exit_code = 4


def one_line(error: Exception) -> str:
    """Return what `error` says, in one line: the first of several often says the least."""
    return " ".join(str(error).split())


def bad_value(key: str, value: object, accepted: str) -> UsageError:
    """Return the error for `value` of configuration key `key`; `accepted` says what would do."""
    return UsageError(f"{key} = {value!r} is not accepted: give {accepted}", key)


def unknown_name(key: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for an unknown `name`, offering the nearest of the `known` ones."""
    names = sorted(known)
    nearest = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return UsageError(f"{key} = {name!r} is unknown: {hint}accepted are {', '.join(names)}", key)
