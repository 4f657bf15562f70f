"""The command line of the mutation suite; see the package."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from simulations.mutants import __doc__ as description
from simulations.mutants.catalogue import MUTANTS
from simulations.mutants.mutant import Mutant
from simulations.mutants.report import passed_in
from simulations.mutants.runner import LIBRARIES, BrokenBaseline, run_suite
from simulations.mutants.verdicts import Result, Verdict

ROOT = Path(__file__).resolve().parents[2]


def main(
    mutants: Sequence[Mutant] = MUTANTS,
    root: Path = ROOT,
    arguments: Sequence[str] | None = None,
    libraries: Sequence[str] = LIBRARIES,
) -> int:
    """Run the suite and return the exit code: 0 if every mutant was killed, 1 if not, 2 for an unknown name."""
    parser = argparse.ArgumentParser(
        prog="python -m simulations.mutants",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", metavar="NAME", action="append", help="run this mutant alone; may be repeated")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time (2)")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one mutant's tests (120)")
    parser.add_argument(
        "--passed",
        type=Path,
        metavar="FILE",
        help="report of pytest just before: what passed there is not run again",
    )
    given = parser.parse_args(arguments)
    known = {mutant.name: mutant for mutant in mutants}
    if unknown := [name for name in given.only or () if name not in known]:
        parser.error(f"no mutant is called {unknown[0]!r}: the names are {', '.join(known)}")
    if given.jobs < 1:
        parser.error("--jobs must be at least 1")
    try:
        passed = passed_in(given.passed) if given.passed else frozenset()
    except ValueError as error:
        parser.error(f"--passed {error}")
    chosen = [known[name] for name in given.only] if given.only else list(mutants)
    begun, results = perf_counter(), []
    try:
        settings = {"jobs": given.jobs, "timeout": given.timeout, "libraries": libraries, "passed": passed}
        for result in run_suite(chosen, root=root, **settings):
            results.append(result)
            if not given.json:
                print(row(result), flush=True)
    except BrokenBaseline as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(document(results) if given.json else summary(results, perf_counter() - begun))
    return 0 if all(result.verdict is Verdict.KILLED for result in results) else 1


def row(result: Result) -> str:
    """Return a row of the table: verdict, seconds, name, claim, and the tests that were to notice."""
    mutant = result.mutant
    lines = [f"{result.verdict.value:9}{result.seconds:6.1f} s  {mutant.name}: {mutant.breaks}"]
    lines += [f"{'':19}by {test}" for test in mutant.killed_by]
    if result.verdict is not Verdict.KILLED:
        lines.append(f"{'':19}{result.reason}")
    return "\n".join(lines)


def summary(results: Sequence[Result], seconds: float) -> str:
    """Return the counts; the last line stands alone for whoever reads the log of a build."""
    counts = Counter(result.verdict for result in results)
    killed = counts[Verdict.KILLED]
    named = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in (Verdict.SURVIVED, Verdict.ERROR))
    return (
        f"\n{len(results)} mutants in {seconds:.0f} s: {killed} killed, {named}\n"
        f"{killed} passed, {len(results) - killed} failed"
    )


def document(results: Sequence[Result]) -> str:
    """Return the results as one JSON document."""
    killed = sum(result.verdict is Verdict.KILLED for result in results)
    return json.dumps(
        {
            "passed": killed,
            "failed": len(results) - killed,
            "mutants": [result.to_dict() for result in results],
        },
        indent=2,
    )


if __name__ == "__main__":
    sys.exit(main())
