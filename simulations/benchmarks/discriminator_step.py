"""What a private discriminator step costs beside an ordinary one, on a CPU and on a GPU if there is one.

    python -m simulations.benchmarks.discriminator_step            minutes
    python -m simulations.benchmarks.discriminator_step --device cuda
    python -m simulations.benchmarks.discriminator_step --quick    a small part of it, in well under a minute

Time: in one process the kinds of step take turns, and each turn gives ratios of neighbours in time; reported is the
median of these ratios, which other load on the machine disturbs least. Memory: each kind of step in a process of its
own (on a GPU there is no need for one); reported is by how much its peak resident set (on a GPU its peak of allocated
memory) grew over that after a step on two rows, which has loaded all code. On a GPU, whose convolutions torch rounds to
TensorFloat-32 unless it is told not to, the three kinds compute in float32, and a fourth, the ordinary step as torch
rounds it, shows what that costs. A step ends with the gradient; neither the noise nor the optimiser are part of it. The
last line is the growth for one batch of 8,192 rows in microbatches of 256. Prints a table, then one line of JSON, which
it also writes to a file.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from fedgan.files import write_text
from fedgan.privacy.clipping import clipped_gradient_sum
from fedgan.privacy.clipping.full_precision import full_precision
from fedgan.privacy.gradient import PlainGradient
from simulations.benchmarks._cases import CASES, GPU_CASES, Case, losses, prepare
from simulations.benchmarks._measure import Peak, paired_ratio, take_turns

STEPS = ("plain", "book_keeping", "opacus")
ROUNDED = "plain, rounded"
QUICK = ("28x28, 128 rows", "64x64x3, 64 rows")
THREADS = (1, 2)
LOGICAL_ROWS, MICROBATCH = 8192, 256


@dataclass(frozen=True)
class Result:
    """Time in seconds; ratios are medians over the turns. On a GPU `threads` is 0; only there is anything rounded."""

    case: str
    device: str
    weights: int
    threads: int
    plain_seconds: float
    private_over_plain: float
    opacus_over_private: float
    private_memory_over_plain: float
    opacus_memory_over_plain: float
    private_over_rounded: float | None = None


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), help="one of the two; default: the GPU too if there is one"
    )
    parser.add_argument("--quick", action="store_true", help="two cases, few turns, one thread")
    parser.add_argument("--output", type=Path, default=Path("runs/benchmarks/discriminator_step.json"))
    parser.add_argument("--memory", nargs=3, metavar=("CASE", "STEP", "DEVICE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        print(_grown(*arguments.memory))
        return
    results = []
    both = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    for device in (arguments.device,) if arguments.device else both:
        results += _table(device, quick=arguments.quick)
    logical = _memory(QUICK[0], "microbatches", arguments.device or "cpu")
    print(f"\n{LOGICAL_ROWS} rows of the first case, {MICROBATCH} at a time: peak memory +{logical / 1024:.0f} MiB")
    document = {
        "benchmark": "discriminator_step",
        "results": [asdict(result) for result in results],
        "logical_batch": {"rows": LOGICAL_ROWS, "microbatch": MICROBATCH, "grown_kib": logical},
        "machine": platform.platform(),
        "torch": torch.__version__,
    }
    write_text(arguments.output, json.dumps(document) + "\n")
    print(json.dumps(document))


def _table(device: str, *, quick: bool) -> list[Result]:
    """Print a table and return its rows."""
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU ({platform.machine()})"
    last = ("private", "/ rounded") if device == "cuda" else ("", "")
    print(f"\n{name}")
    for columns in (
        ("case", "threads", "plain", "private", "speed-up", "memory", "opacus", last[0]),
        ("", "", "ms", "/ plain", "on opacus", "/ plain", "memory", last[1]),
    ):
        print("{:31} {:>7} {:>9} {:>8} {:>9} {:>7} {:>7} {:>9}".format(*columns).rstrip())
    results = []
    for case in QUICK if quick else (*CASES, *(GPU_CASES if device == "cuda" else ())):
        memory = {step: _memory(case, step, device) for step in STEPS}
        for threads in (0,) if device == "cuda" else THREADS[:1] if quick else THREADS:
            results.append(_measure(case, device, threads, 5 if quick else 11, memory))
            print(_row(results[-1]), flush=True)
    return results


def _measure(case: str, device: str, threads: int, turns: int, memory: dict[str, int]) -> Result:
    if threads:
        torch.set_num_threads(threads)
    module, inputs = prepare(_case(case), _case(case).rows, torch.device(device))
    kinds = STEPS if threads else (*STEPS, ROUNDED)
    steps = {step: partial(_next_step, step, module, _case(case).batches(inputs)) for step in kinds}
    times = take_turns(steps, turns, torch.device(device))
    return Result(
        case=case,
        device=device,
        weights=sum(parameter.numel() for parameter in module.parameters()),
        threads=threads,
        plain_seconds=median(times["plain"]),
        private_over_plain=paired_ratio(times["book_keeping"], times["plain"]),
        opacus_over_private=paired_ratio(times["opacus"], times["book_keeping"]),
        private_memory_over_plain=memory["book_keeping"] / memory["plain"],
        opacus_memory_over_plain=memory["opacus"] / memory["plain"],
        private_over_rounded=None if threads else paired_ratio(times["book_keeping"], times[ROUNDED]),
    )


def _next_step(step: str, module: nn.Module, batches: Iterator[tuple[Tensor, ...]]) -> None:
    take_step(step, module, next(batches))


def take_step(step: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Take one step of the kind `step` on the batch `inputs`, up to its gradient."""
    if step == "plain":
        with full_precision():
            PlainGradient()(module, inputs, losses)
    elif step == ROUNDED:
        PlainGradient()(module, inputs, losses)
    elif step == "microbatches":
        clipped_gradient_sum(module, inputs, losses, max_norm=1.0, microbatch=MICROBATCH)
    else:
        clipped_gradient_sum(module, inputs, losses, max_norm=1.0, engine=step)


def _memory(case: str, step: str, device: str) -> int:
    """Return by how many KiB a step raises the peak, on a CPU that of a process of its own."""
    if device == "cuda":
        torch.cuda.empty_cache()
        return _grown(case, step, device)
    command = [sys.executable, "-m", "simulations.benchmarks.discriminator_step", "--memory", case, step, device]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _grown(case: str, step: str, device: str) -> int:
    torch.set_num_threads(1)
    take_step(step, *prepare(_case(case), 2, torch.device(device)))
    rows = LOGICAL_ROWS if step == "microbatches" else _case(case).rows
    module, inputs = prepare(_case(case), rows, torch.device(device))
    peak = Peak(torch.device(device))
    for _ in range(1 if step == "microbatches" else 3):
        take_step(step, module, inputs)
    return peak.grown()


def _case(name: str) -> Case:
    return (CASES | GPU_CASES)[name]


def _row(result: Result) -> str:
    return (
        f"{result.case:31} {result.threads or '-':>7} {result.plain_seconds * 1e3:9.1f} "
        f"{result.private_over_plain:8.2f} {result.opacus_over_private:9.1f} {result.private_memory_over_plain:7.2f} "
        f"{result.opacus_memory_over_plain:7.2f}"
        + (f" {result.private_over_rounded:9.2f}" if result.private_over_rounded else "")
    )


if __name__ == "__main__":
    main()
