"""Copies of the sources in which mutants are planted, each with a process that runs tests on it."""

from __future__ import annotations

import compileall
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from py_compile import PycInvalidationMode
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

from simulations.mutants import observer, worker

_COPIED = ("fedgan", "tests", "configs", "pyproject.toml")
_OPTIONS = (
    *("-p", "no:cacheprovider"),
    *("-p", "mutant_observer"),
    *("-p", "no:anyio"),  # neither it nor xdist is used, and what they import takes longer than most tests
    *("-p", "no:xdist"),
    *("-m", ""),  # slow tests too, if they are named
    "--timeout=0",
    "--hypothesis-seed=0",
    "--hypothesis-profile=mutants",
)


@dataclass(frozen=True)
class TestRun:
    """How tests ended.

    Attributes:
        ends: by node identifier, {"end": "passed" | "failed" | "error" | "skipped", "exception": …, "words": …}.
        trouble: why there is nothing to judge, or "".
    """

    ends: dict[str, dict[str, str]] = field(default_factory=dict)
    trouble: str = ""


@dataclass(frozen=True)
class Place:
    """A copy of the sources, and the process that tests it."""

    folder: Path
    process: subprocess.Popen[str]

    def run(self, tests: Sequence[str], *, timeout: float) -> TestRun:
        """Run `tests` on the sources as they are now, for at most `timeout` seconds, with fixed hypothesis examples."""
        report, output = self.folder / "report.json", self.folder / "output.txt"
        report.unlink(missing_ok=True)
        request = {"arguments": [*_OPTIONS, *tests], "output": str(output), "timeout": timeout}
        code = self._ask(request)
        if code is None:
            return TestRun(trouble=f"its tests took longer than {timeout:g} s")
        if code not in (0, 1) or not report.is_file():
            return TestRun(trouble=f"pytest ended with code {code}: {_gist(output.read_text())}")
        return TestRun(json.loads(report.read_text()))

    def _ask(self, request: dict[str, Any]) -> int | None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):  # then there is no answer either
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("the process that runs tests has ended: its words are above")
        code: int | None = json.loads(answer)
        return code


@contextmanager
def workshop(root: Path, places: int, libraries: Sequence[str]) -> Iterator[SimpleQueue[Place]]:
    """Lend `places` copies of the sources at `root`, in a temporary folder; whoever uses one takes it and puts it back.

    Args:
        libraries: what the tests' processes load beforehand.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="mutants-"))).resolve()
        free: SimpleQueue[Place] = SimpleQueue()
        for number in range(places):
            copy = folder / str(number)
            _copy_sources(root, copy)
            process = _start(copy, libraries)
            stack.callback(_stop, process)
            free.put(Place(copy, process))
        yield free


def _copy_sources(root: Path, copy: Path) -> None:
    copy.mkdir(parents=True)
    for name in _COPIED:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, copy / name)
    # By their hashes: Python tells compiled files else apart by size and second, which a mutant can share.
    compileall.compile_dir(copy / "fedgan", quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
    shutil.copy(observer.__file__, copy / "mutant_observer.py")
    shutil.copy(worker.__file__, copy / "mutant_worker.py")


def _start(copy: Path, libraries: Sequence[str]) -> subprocess.Popen[str]:
    """Start the process that tests `copy`, on one thread; nothing that it compiles, of mutants too, is kept."""
    settings = {
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        observer.REPORT: str(copy / "report.json"),
    }
    return subprocess.Popen(
        [sys.executable, "mutant_worker.py", *libraries],
        cwd=copy,
        env={**os.environ, **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate()


def _gist(output: str) -> str:
    """Return the line of pytest's `output` that says what went wrong."""
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines[-1:] or ["no output"])[0]
