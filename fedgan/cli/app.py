"""The command line: subcommands, and what becomes of an error.

A command's module is imported when the command is called, and what it needs when it runs: `fedgan audit` never loads
torch and starts in a fraction of a second.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import click
import typer

from fedgan import __version__
from fedgan.cli.lazy import commands_in_modules
from fedgan.errors import FedganError

app = typer.Typer(
    cls=commands_in_modules(
        "simulate", "plan", "generate", "evaluate", "explain", "fuse", "provision", "server", "client", "audit"
    ),
    help="Train a generative adversarial network over parties that keep their data, with differential privacy.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fedgan {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and every log line.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Set up logging for every command."""
    level = logging.DEBUG if debug else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(message)s", stream=sys.stderr)
    for noisy in ("flwr", "matplotlib", "PIL", "absl", "asyncio", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


_INTERRUPTED = 130
"""What typer makes of Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 bad usage, 3 over budget, 4 tampered with or damaged."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(_run(given, debug="--debug" in given))


def _run(arguments: list[str], *, debug: bool) -> int:
    try:
        code = app(arguments, prog_name="fedgan", standalone_mode=False)
    except click.UsageError as error:
        return _fail(error.format_message(), 2)
    except FedganError as error:
        if debug:
            traceback.print_exc()
        return _fail(str(error), error.exit_code)
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _fail(f"{type(error).__name__}: {error} (run `fedgan --debug ...` for the traceback)", 1)
    if code == _INTERRUPTED:
        return _fail("interrupted; a run goes on with --resume", code)
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int) -> int:
    typer.echo("fedgan: " + " ".join(message.split()), err=True)
    return code
