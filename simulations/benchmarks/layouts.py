"""What channels-last memory and `torch.compile` save of a discriminator step on a CPU, private or not.

    python -m simulations.benchmarks.layouts            minutes
    python -m simulations.benchmarks.layouts --quick    one case, few turns

In one process the kinds of step take turns, and each turn gives ratios of neighbours in time; reported are the medians
of these ratios, on one thread. Neither is used by fedgan: this says why. Prints a table, then one line of JSON, which
it also writes to a file.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from fedgan.files import write_text
from simulations.benchmarks._cases import CASES, prepare
from simulations.benchmarks._measure import paired_ratio, take_turns
from simulations.benchmarks.discriminator_step import take_step

CHOSEN = ("28x28, 128 rows", "28x28, 256 rows", "32x32x3, 128 rows", "64x64x3, 64 rows")
RATIOS = {
    "plain step, channels last": ("plain, channels last", "plain"),
    "plain step, compiled": ("plain, compiled", "plain"),
    "private step, channels last": ("private, channels last", "private"),
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one case, few turns")
    parser.add_argument("--output", type=Path, default=Path("runs/benchmarks/layouts.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"time of a step over that of the same step as it is, CPU ({platform.machine()}), one thread")
    print("{:20} {:>26} {:>22} {:>28}".format("case", *RATIOS))
    results = {}
    for case in CHOSEN[:1] if arguments.quick else CHOSEN:
        times = take_turns(_steps(case), 3 if arguments.quick else 9, torch.device("cpu"))
        results[case] = {name: paired_ratio(times[above], times[below]) for name, (above, below) in RATIOS.items()}
        print("{:20} {:26.2f} {:22.2f} {:28.2f}".format(case, *results[case].values()), flush=True)
    document = {
        "benchmark": "layouts",
        "results": results,
        "machine": platform.platform(),
        "torch": torch.__version__,
    }
    write_text(arguments.output, json.dumps(document) + "\n")
    print(json.dumps(document))


def _steps(case: str) -> dict[str, Callable[[], object]]:
    """Return the kinds of step by name, each with weights of its own."""
    device, rows = torch.device("cpu"), CASES[case].rows
    plain, inputs = prepare(CASES[case], rows, device)
    last, given = prepare(CASES[case], rows, device)
    last = last.to(memory_format=torch.channels_last)
    images_last = (given[0].to(memory_format=torch.channels_last), *given[1:])
    compiled, _ = prepare(CASES[case], rows, device)
    return {
        "plain": partial(take_step, "plain", plain, inputs),
        "plain, channels last": partial(take_step, "plain", last, images_last),
        "plain, compiled": partial(take_step, "plain", torch.compile(compiled), inputs),
        "private": partial(take_step, "book_keeping", plain, inputs),
        "private, channels last": partial(take_step, "book_keeping", last, images_last),
    }


if __name__ == "__main__":
    main()
