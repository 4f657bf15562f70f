"""Plants mutants, some at a time, and judges each by the tests that it names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter

from simulations.mutants.mutant import Mutant, NotPlantable, planted
from simulations.mutants.verdicts import Result, Verdict, judge
from simulations.mutants.workshop import Place, workshop

BASELINE_TIMEOUT = 600.0
"""Seconds for all named tests together, without any mutant."""

LIBRARIES = (
    "torch",
    "torch._dynamo",
    "opacus.grad_sample",
    "flwr.app",
    "flwr.clientapp",
    "flwr.serverapp.strategy",
    "dp_accounting.pld.privacy_loss_distribution",
    "dp_accounting.rdp",
    "prv_accountant",
    "safetensors.numpy",
    "scipy.stats",
    "hypothesis",
    "matplotlib.figure",
    "sklearn.datasets",
    "pydantic.main",
    "pydantic.json_schema",
)
"""What the tests import and what takes long."""


class BrokenBaseline(Exception):  # noqa: N818 - says of the tests what they are
    """Named tests fail without any mutant, so their failing shows nothing."""


def run_suite(
    mutants: Sequence[Mutant],
    *,
    root: Path,
    jobs: int,
    timeout: float,
    libraries: Sequence[str] = LIBRARIES,
    passed: Collection[str] = (),
) -> Iterator[Result]:
    """Yield the result of each of `mutants`, in their order, with `jobs` of them running at a time.

    Args:
        mutants: with different names.
        root: the project; only a copy of it is changed.
        jobs: test processes at a time.
        timeout: seconds for one mutant's tests.
        libraries: loaded once for all tests; they do not belong to the project.
        passed: tests that have just passed on these sources; the other named ones are run once without any mutant.

    Raises:
        BrokenBaseline: a named test does not pass on the sources as they are, or does not exist.
    """
    with workshop(root, jobs, libraries) as free, ThreadPoolExecutor(jobs) as pool:
        _check_baseline({test for mutant in mutants for test in mutant.killed_by} - {*passed}, free, pool, jobs)
        yield from pool.map(lambda mutant: _run(mutant, free, timeout), mutants)


def _check_baseline(named: Collection[str], free: SimpleQueue[Place], pool: ThreadPoolExecutor, jobs: int) -> None:
    """Run the tests `named` once as they are; tests of one file stay together, so that it is imported once."""
    tests = sorted(named)
    files = sorted({test.partition("::")[0] for test in tests})
    shares = [[test for test in tests if files.index(test.partition("::")[0]) % jobs == job] for job in range(jobs)]
    broken = [words for found in pool.map(lambda share: _broken(share, free), shares) for words in found]
    if broken:
        raise BrokenBaseline("tests must pass without a mutant: " + "; ".join(broken))


def _broken(tests: Sequence[str], free: SimpleQueue[Place]) -> list[str]:
    if not tests:
        return []
    with _taken(free) as place:
        run = place.run(tests, timeout=BASELINE_TIMEOUT)
    if run.trouble:
        return [run.trouble]
    return [f"{test} {end['end']}: {end['words']}" for test, end in run.ends.items() if end["end"] != "passed"]


def _run(mutant: Mutant, free: SimpleQueue[Place], timeout: float) -> Result:
    with _taken(free) as place:
        begun = perf_counter()
        try:
            with planted(mutant, place.folder):
                verdict, reason = judge(mutant, place.run(mutant.killed_by, timeout=timeout))
        except NotPlantable as error:
            verdict, reason = Verdict.ERROR, str(error)
        return Result(mutant, verdict, reason, perf_counter() - begun)


@contextmanager
def _taken(free: SimpleQueue[Place]) -> Iterator[Place]:
    place = free.get()
    try:
        yield place
    finally:
        free.put(place)
