"""What a discriminator step saves where freed memory stays with the process, on a CPU under Linux with glibc.

    python -m simulations.benchmarks.kept_memory            ten minutes
    python -m simulations.benchmarks.kept_memory --quick    one case, few turns

Each kind of step (plain, private, Opacus' hooks) is timed in processes of its own that take turns: one as glibc leaves
it, one with `fedgan.federation.heap.keep_freed_memory`, as training processes have it. A ratio is the median over turns
of the second's time to the first's. Time is that of the process on one thread, so that other load disturbs it little.
With `--thread` the steps run in a thread that is not the first, as a vault's do. Memory: the most that a process had,
and what it still has when the last step is done. Prints a table, then one line of JSON, which it also writes to a file.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from threading import Thread
from time import process_time

import torch

from fedgan.federation.heap import keep_freed_memory
from fedgan.files import write_text
from simulations.benchmarks._cases import CASES, prepare
from simulations.benchmarks._measure import paired_ratio, resident
from simulations.benchmarks.discriminator_step import STEPS, take_step

TIMED = ("64x64x3, 64 rows", "28x28, 256 rows")
TURNS, QUICK_TURNS, STEPS_A_TURN = 11, 3, 5
LEFT, KEPT = "left", "kept"


@dataclass(frozen=True)
class Sample:
    """Median seconds and page faults of a step in one process, and its memory in KiB."""

    seconds: float
    faults: int
    peak: int
    after: int


@dataclass(frozen=True)
class Result:
    """One kind of step: medians over the processes as glibc leaves them, and over those that keep freed memory."""

    case: str
    step: str
    ratio: float
    left: Sample
    kept: Sample


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one case, few turns")
    parser.add_argument("--thread", action="store_true", help="steps run in a thread of their own")
    parser.add_argument("--output", type=Path, default=Path("runs/benchmarks/kept_memory.json"))
    parser.add_argument("--one", nargs=3, metavar=("CASE", "STEP", "MEMORY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(asdict(_sample(*arguments.one, thread=arguments.thread))))
        return
    if not keep_freed_memory():
        raise SystemExit("this benchmark wants glibc, and no variable of its malloc in the environment")
    print("{:18} {:13} {:>8} {:>8} {:>6} {:>15} {:>11} {:>11}".format(*_HEAD).rstrip())
    results = []
    for case in TIMED[:1] if arguments.quick else TIMED:
        for step in STEPS:
            turns = QUICK_TURNS if arguments.quick else TURNS
            results.append(_measure(case, step, turns, thread=arguments.thread))
            print(_row(results[-1]), flush=True)
        _, private, hooks = results[-3:]
        for name, one, other in ((LEFT, hooks.left, private.left), (KEPT, hooks.kept, private.kept)):
            print(f"{case}, {name}: a private step is {one.seconds / other.seconds:.1f} times faster than the hooks")
    document = {
        "benchmark": "kept_memory",
        "thread": arguments.thread,
        "results": [asdict(result) for result in results],
        "machine": platform.platform(),
        "torch": torch.__version__,
    }
    write_text(arguments.output, json.dumps(document) + "\n")
    print(json.dumps(document))


def _measure(case: str, step: str, turns: int, *, thread: bool) -> Result:
    pairs = [tuple(_child(case, step, memory, thread=thread) for memory in (LEFT, KEPT)) for _ in range(turns)]
    left, kept = ([pair[index] for pair in pairs] for index in (0, 1))
    ratio = paired_ratio([one.seconds for one in kept], [one.seconds for one in left])
    return Result(case, step, ratio, _middle(left), _middle(kept))


def _middle(samples: list[Sample]) -> Sample:
    return Sample(
        median(one.seconds for one in samples),
        *(int(median(getattr(one, name) for one in samples)) for name in ("faults", "peak", "after")),
    )


def _child(case: str, step: str, memory: str, *, thread: bool) -> Sample:
    command = [sys.executable, "-m", "simulations.benchmarks.kept_memory", "--one", case, step, memory]
    if thread:
        command.append("--thread")
    return Sample(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _sample(case: str, step: str, memory: str, *, thread: bool) -> Sample:
    if memory == KEPT:
        keep_freed_memory()
    torch.set_num_threads(1)
    samples: list[Sample] = []
    if thread:
        worker = Thread(target=lambda: samples.append(_steps(case, step)))
        worker.start()
        worker.join()
    else:
        samples.append(_steps(case, step))
    return samples[0]


def _steps(case: str, step: str) -> Sample:
    module, inputs = prepare(CASES[case], CASES[case].rows, torch.device("cpu"))
    for _ in range(2):
        take_step(step, module, inputs)
    before, seconds = _faults(), []
    for _ in range(STEPS_A_TURN):
        begun = process_time()
        take_step(step, module, inputs)
        seconds.append(process_time() - begun)
    faults = (_faults() - before) // STEPS_A_TURN
    return Sample(median(seconds), faults, resident("VmHWM"), resident("VmRSS"))


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


_HEAD = ("case", "step", "left, ms", "kept, ms", "ratio", "faults a step", "peak, MiB", "after, MiB")


def _row(result: Result) -> str:
    left, kept = result.left, result.kept
    return (
        f"{result.case:18} {result.step:13} {left.seconds * 1e3:8.1f} {kept.seconds * 1e3:8.1f} {result.ratio:6.2f} "
        f"{f'{left.faults} / {kept.faults}':>15} {_both(left.peak, kept.peak):>11} {_both(left.after, kept.after):>11}"
    )


def _both(left: int, kept: int) -> str:
    """Return KiB as MiB."""
    return f"{left // 1024} / {kept // 1024}"


if __name__ == "__main__":
    main()
