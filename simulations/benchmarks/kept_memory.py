"""What a discriminator step saves where freed memory stays with the process, on a CPU under Linux with glibc.

    python -m simulations.benchmarks.kept_memory            minutes
    python -m simulations.benchmarks.kept_memory --thread
    python -m simulations.benchmarks.kept_memory --quick    one case, few turns

Of each kind of step (plain, private, Opacus' hooks) two processes take turns, step by step: one as glibc leaves it, one
with `fedgan.federation.heap.keep_freed_memory`, as training processes have it. A ratio is the median of neighbours in
time, over several such pairs. Time is that of the process on one thread, so that other load disturbs it little. With
`--thread` the steps run in a thread that is not the first, as a vault's do. Memory: the most that a process had, and
what it has when a step is done. Prints a table, then one line of JSON, which it also writes to a file.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import process_time

import torch
from torch import Tensor, nn

from fedgan.federation.heap import keep_freed_memory
from fedgan.files import write_text
from simulations.benchmarks._cases import CASES, prepare
from simulations.benchmarks._measure import paired_ratio, resident
from simulations.benchmarks.discriminator_step import STEPS, take_step

TIMED = ("64x64x3, 64 rows", "28x28, 256 rows")
LEFT, KEPT = "left", "kept"
PAIRS, TURNS = 3, 11
WARM = 2


@dataclass(frozen=True)
class Sample:
    """One step: seconds and page faults that it took; KiB of memory of its process, the most and now."""

    seconds: float
    faults: int
    peak: int
    now: int


@dataclass(frozen=True)
class Result:
    """One kind of step: medians in processes as glibc leaves them, and in those that keep freed memory."""

    case: str
    step: str
    ratio: float
    left: Sample
    kept: Sample


class Process:
    """A process of its own that takes one step whenever it is asked."""

    def __init__(self, case: str, step: str, memory: str, *, thread: bool) -> None:
        command = [sys.executable, "-m", "simulations.benchmarks.kept_memory", "--one", case, step, memory]
        command += ["--thread"] if thread else []
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def take(self) -> Sample:
        """Return what a step took."""
        assert self._process.stdin and self._process.stdout
        print(file=self._process.stdin, flush=True)
        return Sample(**json.loads(self._process.stdout.readline()))

    def end(self) -> None:
        """Let the process end."""
        self._process.communicate()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one case, few turns")
    parser.add_argument("--thread", action="store_true", help="steps run in a thread of their own")
    parser.add_argument("--output", type=Path, default=Path("runs/benchmarks/kept_memory.json"))
    parser.add_argument("--one", nargs=3, metavar=("CASE", "STEP", "MEMORY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        _serve(*arguments.one, thread=arguments.thread)
        return
    if not keep_freed_memory():
        raise SystemExit("this benchmark wants glibc, and no variable of its malloc in the environment")
    print("{:18} {:13} {:>8} {:>8} {:>6} {:>15} {:>11} {:>11}".format(*_HEAD))
    pairs, turns = (1, 5) if arguments.quick else (PAIRS, TURNS)
    results = []
    for case in TIMED[:1] if arguments.quick else TIMED:
        for step in STEPS:
            results.append(_measure(case, step, pairs, turns, thread=arguments.thread))
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


def _measure(case: str, step: str, pairs: int, turns: int, *, thread: bool) -> Result:
    samples: dict[str, list[Sample]] = {LEFT: [], KEPT: []}
    for _ in range(pairs):
        processes = {memory: Process(case, step, memory, thread=thread) for memory in samples}
        for turn in range(WARM + turns):
            for memory, process in processes.items():
                sample = process.take()
                if turn >= WARM:
                    samples[memory].append(sample)
        for process in processes.values():
            process.end()
    ratio = paired_ratio(*([sample.seconds for sample in samples[memory]] for memory in (KEPT, LEFT)))
    return Result(case, step, ratio, _middle(samples[LEFT]), _middle(samples[KEPT]))


def _middle(samples: list[Sample]) -> Sample:
    """Return the medians."""
    return Sample(
        median(sample.seconds for sample in samples),
        *(int(median(getattr(sample, name) for sample in samples)) for name in ("faults", "peak", "now")),
    )


def _serve(case: str, step: str, memory: str, *, thread: bool) -> None:
    """Take a step for each line that comes, and say what it took."""
    if memory == KEPT:
        keep_freed_memory()
    torch.set_num_threads(1)
    batch = prepare(CASES[case], CASES[case].rows, torch.device("cpu"))
    with ThreadPoolExecutor(1) as worker:
        for _ in sys.stdin:
            sample = worker.submit(_sample, step, *batch).result() if thread else _sample(step, *batch)
            print(json.dumps(asdict(sample)), flush=True)


def _sample(step: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> Sample:
    faults, begun = _faults(), process_time()
    take_step(step, module, inputs)
    seconds = process_time() - begun
    return Sample(seconds, _faults() - faults, resident("VmHWM"), resident("VmRSS"))


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


_HEAD = ("case", "step", "left, ms", "kept, ms", "ratio", "faults a step", "peak, MiB", "after, MiB")


def _row(result: Result) -> str:
    left, kept = result.left, result.kept
    return (
        f"{result.case:18} {result.step:13} {left.seconds * 1e3:8.1f} {kept.seconds * 1e3:8.1f} {result.ratio:6.2f} "
        f"{f'{left.faults} / {kept.faults}':>15} {_mib(left.peak, kept.peak):>11} {_mib(left.now, kept.now):>11}"
    )


def _mib(left: int, kept: int) -> str:
    return f"{left // 1024} / {kept // 1024}"


if __name__ == "__main__":
    main()
