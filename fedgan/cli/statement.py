"""`fedgan audit statement`: a page to file."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fedgan.audit.statement import statement as make_statement
from fedgan.cli.console import show
from fedgan.errors import UsageError
from fedgan.files import write_text


def statement(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Run folders, ledger folders or ledger files.")
    ],
    output: Annotated[Path, typer.Option(metavar="FILE.html", help="The page to write.")],
    delta: Annotated[float | None, typer.Option(help="Delta of the statement; default: the ledgers' own.")] = None,
    public_key: Annotated[
        Path | None, typer.Option(metavar="FILE|FOLDER", help="As that of `fedgan audit verify`.")
    ] = None,
) -> None:
    """Write a self-contained page: who spent what, who is protected from whom, and how to check it again."""
    if output.suffix != ".html":
        raise UsageError(f"--output {output}: give a name that ends in .html")
    page = make_statement(
        paths, made=datetime.now(UTC), delta=delta, public_key=public_key, workers=os.cpu_count() or 1
    )
    try:
        write_text(output, page)
    except OSError as error:
        raise UsageError(f"--output {output}: cannot write there: {error.strerror}") from None
    show(f"statement: {output}")
