"""Where words, tables and progress go: results to stdout, everything on the way to stderr."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

stderr = Console(stderr=True, markup=False, emoji=False, highlight=False)
stdout = Console(markup=False, emoji=False, highlight=False)


def say(text: str) -> None:
    """Print `text` to stderr, each of its lines on one line however narrow the terminal is."""
    stderr.print(text, soft_wrap=True)


def show(text: str) -> None:
    """Print `text` to stdout, each of its lines on one line however narrow the terminal is."""
    stdout.print(text, soft_wrap=True)


def print_json(document: Any) -> None:
    """Print `document` as the one thing on stdout."""
    typer.echo(json.dumps(document, indent=2))


def new_table(*columns: str, title: str | None = None) -> Table:
    """Return a table whose first column is text and whose others are numbers."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    return table


def format_epsilon(epsilon: float) -> str:
    """Return `epsilon` rounded up, since a guarantee that is rounded down is none."""
    from math import ceil, isinf

    return "infinite" if isinf(epsilon) else f"{ceil(epsilon * 1000 - 1e-9) / 1000:.3f}"
