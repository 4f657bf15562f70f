"""`kill -9` at any instant of the command: an observer of its own sees no mechanism that no ledger holds.

Each command is a process of its own, forked from this one, which has loaded and calibrated all that a run needs: its
time is the run's own. That commands killed in a fresh interpreter resume is in test_kill.py.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from fedgan.audit.verify import verify
from fedgan.cli.app import main
from fedgan.config import Config, to_toml
from fedgan.privacy.events import SelfComposed
from fedgan.privacy.ledger_scan import scan_lines, split_torn

pytestmark = [pytest.mark.privacy, pytest.mark.slow, pytest.mark.timeout(7200)]

MakeConfig = Callable[..., Config]
Mechanisms = Counter[tuple[str, int]]  # by client and round
PROGRAM = Path(__file__).with_name("observed_run.py")
KILLS = int(os.environ.get("FEDGAN_KILLS", "6"))
SPENT = 3  # exit code where the warm start was charged and lost, so that the budget has no room for another


def run_program(arguments: Sequence[str]) -> None:
    """Be the observed command with `arguments`; what it says is dropped."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    sys.argv = [str(PROGRAM), *arguments]
    runpy.run_path(str(PROGRAM), run_name="__main__")


def end_of(child: BaseProcess) -> int:
    """Wait for the end of a command and return its exit code, or the negative number of the signal that ended it."""
    child.join(300)
    assert child.exitcode is not None, "it does not end"
    return child.exitcode


class Watched:
    """A run of the command in `folder`, started again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder.with_suffix(".log")

    def start(self, tear: str = "no") -> BaseProcess:
        """Start the run, or go on with it."""
        begun = (self.folder / "config.toml").exists()
        arguments = ["--resume"] if begun else [str(self.folder.parent / "run.toml")]
        command = [str(self._log), tear, "simulate", *arguments, "--output", str(self.folder), "--quiet"]
        child = multiprocessing.get_context("fork").Process(target=run_program, args=(command,))
        child.start()
        return child

    def computed(self) -> Mechanisms:
        """Return the mechanisms that were begun."""
        rows = [line.split() for line in self._log.read_text().splitlines()] if self._log.exists() else []
        return Counter((client, int(number)) for client, number in rows)

    def charged(self) -> Mechanisms:
        """Return the mechanisms that stand in the ledgers' whole lines, all of them verified."""
        charged: Mechanisms = Counter()
        for path in (self.folder / "ledgers").glob("*.jsonl"):
            for line in scan_lines(split_torn(path.read_bytes())[0], path):
                if line.event is not None:
                    count = line.event.count if isinstance(line.event, SelfComposed) else 1
                    charged[line.client, line.row["round"]] += count
        return charged

    def check(self) -> None:
        """Nothing was computed that is not charged, and nothing is wrong but lines that a crash tore."""
        computed, charged = self.computed(), self.charged()
        assert computed <= charged, computed - charged
        if any((self.folder / "ledgers").glob("*.jsonl")):
            assert all("torn" in fault.what for fault in verify([self.folder / "ledgers"]).faults)

    def finish(self) -> None:
        """Go on to the end, where everything verifies."""
        assert end_of(self.start()) in (0, SPENT)
        self.check()
        assert verify([self.folder / "ledgers"]).intact
        if (self.folder / "generator.json").exists():
            assert verify([self.folder]).intact


@pytest.fixture
def prepare(tiny_config: MakeConfig, tmp_path: Path) -> Callable[[str], Watched]:
    config = tiny_config("federation.rounds=12", "training.warm_start_steps=20", "evaluation.count=200")
    (tmp_path / "run.toml").write_text(to_toml(config))
    with pytest.raises(SystemExit, match="0"):  # what it loads and calibrates, the children inherit
        main(["simulate", str(tmp_path / "run.toml"), "--output", str(tmp_path / "first"), "--quiet"])
    return lambda name: Watched(tmp_path / name)


def test_kill_nine_at_random_instants(prepare: Callable[[str], Watched]) -> None:
    """FEDGAN_KILLS says how many. A run that was killed goes on from where it was; when it ends, another begins."""
    rng = np.random.default_rng()
    run, killed, runs = prepare("run-0"), 0, 1
    begun = monotonic()
    assert end_of(run.start()) == 0
    duration = monotonic() - begun
    run, computed = prepare("run-1"), run.computed().total()
    assert computed == 3 * (1 + 12 * 2)
    while killed < KILLS:
        child = run.start()
        child.join(rng.uniform(0, duration))
        child.kill()
        code = end_of(child)
        run.check()
        killed += code == -signal.SIGKILL
        if code != -signal.SIGKILL:
            assert code in (0, SPENT)
            runs += 1
            run = prepare(f"run-{runs}")
    run.finish()


def test_kill_nine_inside_a_charge(prepare: Callable[[str], Watched]) -> None:
    """Before the line, within it twice, and after it, each as the run goes on from the kill before."""
    run, torn = prepare("run"), []
    for charge, length, computed, charged in ((2, 0, 1, 1), (2, 90, 2, 2), (3, 300, 5, 5), (1, 10**6, 5, 7)):
        assert end_of(run.start(f"{charge}:{length}")) == -signal.SIGKILL
        torn += [path for path in (run.folder / "ledgers").glob("*.jsonl") if not path.read_bytes().endswith(b"\n")]
        assert (run.computed().total(), run.charged().total()) == (computed, charged)
        run.check()
    assert [path.stem for path in torn] == ["client-00002", "client-00001"]
    run.finish()
    assert all(path.read_bytes().count(b'"recovered"') == 1 for path in torn)
