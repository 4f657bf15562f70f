"""The command line of the results; see the package."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fedgan.errors import FedganError, unknown_name
from simulations.results import __doc__ as description
from simulations.results.catalogue import ROWS
from simulations.results.origin import ROOT, UNKNOWN, configs_of, digest
from simulations.results.record import FOLDER, Record, read_records
from simulations.results.row import Row
from simulations.results.runner import free_path, run_row

RESULTS = ROOT / FOLDER
PAGE = ROOT / "docs" / "results.md"


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says and return the exit code, as `fedgan` would."""
    given = _parser().parse_args(arguments)
    try:
        if given.command == "list":
            _list()
        elif given.command == "run":
            _run(given)
        else:
            from simulations.results.page import make_page

            make_page(PAGE, RESULTS)
    except FedganError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulations.results",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every row, the seeds that have not been run, or with another configuration")
    run = commands.add_parser("run", help="train and evaluate rows with one seed")
    run.add_argument("row", metavar="ROW", nargs="+")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument(
        "--data", type=Path, default=Path(os.environ.get("FEDGAN_DATA", "data")), help="folder of data sets"
    )
    run.add_argument("--runs", type=Path, default=Path("runs/results"), help="where the run folder goes")
    run.add_argument("--replace", action="store_true", help="make the result anew although it is there")
    commands.add_parser("table", help="write tables and plots from the results that are there")
    return parser


def _run(given: argparse.Namespace) -> None:
    """Run rows one after another, once none of them can be refused for its name or for a result that is there."""
    for name in given.row:
        if name not in ROWS:
            raise unknown_name("ROW", name, ROWS)
        free_path(RESULTS, name, given.seed, replace=given.replace)
    for name in given.row:
        folders = {"data": given.data, "runs": given.runs, "results": RESULTS}
        print(run_row(ROWS[name], given.seed, **folders, replace=given.replace), flush=True)


def _list() -> None:
    records = read_records(RESULTS)
    for row in ROWS.values():
        print(f"{row.name:36} {_state(row, records.get(row.name, ()))}")


def _state(row: Row, records: Sequence[Record]) -> str:
    """Return which seeds of `row` have no record, and which have one of a configuration that it has no more."""
    missing = sorted({*row.seeds} - {record.seed for record in records})
    known = [record for record in records if record.configuration != UNKNOWN]
    other = [record.seed for record in known if record.configuration != digest(configs_of(row, record.seed))]
    unknown = [record.seed for record in records if record.configuration == UNKNOWN]
    named = (
        ("not run", missing),
        ("other configuration", other),
        ("of a configuration that it does not name", unknown),
    )
    return "; ".join(f"{what}: seed {', '.join(map(str, seeds))}" for what, seeds in named if seeds) or "run"


if __name__ == "__main__":
    sys.exit(main())
