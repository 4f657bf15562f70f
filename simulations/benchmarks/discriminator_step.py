"""What a private discriminator step costs beside an ordinary one, on a CPU.

    python -m simulations.benchmarks.discriminator_step            minutes
    python -m simulations.benchmarks.discriminator_step --quick    a small part of it, in well under a minute

Time: in one process the three kinds of step take turns, and each turn gives ratios of neighbours in time; reported is
the median of these ratios, which other load on the machine disturbs least. Memory: each kind of step in a process of
its own; reported is by how much its peak resident set grew over that after a step on two rows, which has loaded all
code. A step ends with the gradient; neither the noise nor the optimiser are part of it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, softplus

from fedgan.files import write_text
from fedgan.privacy.clipping import clipped_gradient_sum
from fedgan.privacy.gradient import PlainGradient

STEPS = ("plain", "book_keeping", "opacus")
THREADS = (1, 2)


class ReferenceDiscriminator(nn.Module):
    """The discriminator of Bie et al. 2023 (arXiv:2302.02936) for 28 x 28 images: 1.72 million weights."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.label = (nn.Conv2d(channels, 64, 4, 2, 1) for channels in (1, 10))
        layers = [nn.Conv2d(128, 256, 4, 2, 1), nn.Conv2d(256, 512, 3, 2, 1)]
        self.layers = nn.Sequential(*[part for layer in layers for part in (layer, nn.LeakyReLU(0.2))])
        self.score = nn.Conv2d(512, 1, 4)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return logits (N,) of images (N, 1, 28, 28) and labels (N,)."""
        planes = one_hot(labels, 10).to(images.dtype)[:, :, None, None].expand(-1, -1, 28, 28)
        stems = torch.cat([self.image(images), self.label(planes)], dim=1)
        logits: Tensor = self.score(self.layers(nn.functional.leaky_relu(stems, 0.2))).flatten()
        return logits


class Discriminator(nn.Sequential):
    """Convolutions of stride 2 down to at most 4 pixels, then a linear score; labels are ignored."""

    def __init__(self, side: int, *channels: int) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(channels):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
            side //= 2
        super().__init__(*layers, nn.Flatten(), nn.Linear(channels[-1] * side**2, 1), nn.Flatten(0))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return logits (N,) of images (N, C, side, side)."""
        logits: Tensor = super().forward(images)
        return logits


@dataclass(frozen=True)
class Case:
    """One discriminator and one batch."""

    build: Callable[[], nn.Module]
    image_shape: tuple[int, int, int]
    rows: int


CASES = {
    "28x28, 128 rows": Case(lambda: Discriminator(28, 1, 64, 128, 256), (1, 28, 28), 128),
    "28x28, 256 rows": Case(lambda: Discriminator(28, 1, 64, 128, 256), (1, 28, 28), 256),
    "32x32x3, 128 rows": Case(lambda: Discriminator(32, 3, 64, 128, 256), (3, 32, 32), 128),
    "64x64x3, 64 rows": Case(lambda: Discriminator(64, 3, 32, 64, 128, 256), (3, 64, 64), 64),
    "1.72 M weights, 128 + 128 rows": Case(ReferenceDiscriminator, (1, 28, 28), 256),
}
QUICK = ("28x28, 128 rows", "64x64x3, 64 rows")


@dataclass(frozen=True)
class Result:
    """Times in seconds; ratios are medians over the turns."""

    case: str
    weights: int
    threads: int
    plain_seconds: float
    private_over_plain: float
    opacus_over_private: float
    private_memory_over_plain: float
    opacus_memory_over_plain: float


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two cases, few turns, one thread")
    parser.add_argument("--output", type=Path, default=Path("runs/benchmarks/discriminator_step.json"))
    parser.add_argument("--memory", nargs=2, metavar=("CASE", "STEP"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        print(_grown_peak(*arguments.memory))
        return
    results = []
    print(f"{'case':31} {'threads':>7} {'plain':>9} {'private':>8} {'speed-up':>9} {'memory':>7} {'opacus':>7}")
    print(f"{'':31} {'':>7} {'ms':>9} {'/ plain':>8} {'on opacus':>9} {'/ plain':>7} {'memory':>7}")
    for name in QUICK if arguments.quick else CASES:
        memory = {step: _memory(name, step) for step in STEPS}
        for threads in THREADS[:1] if arguments.quick else THREADS:
            results.append(_measure(name, threads, 5 if arguments.quick else 11, memory))
            print(_row(results[-1]), flush=True)
    write_text(arguments.output, json.dumps([asdict(result) for result in results], indent=2) + "\n")


def _measure(name: str, threads: int, turns: int, memory: dict[str, int]) -> Result:
    torch.set_num_threads(threads)
    module, inputs = _prepare(CASES[name], CASES[name].rows)
    times: dict[str, list[float]] = {step: [] for step in STEPS}
    for turn in range(turns + 1):
        for step in STEPS:
            start = perf_counter()
            _step(step, module, inputs)
            if turn:  # the first one warms up
                times[step].append(perf_counter() - start)
    return Result(
        case=name,
        weights=sum(parameter.numel() for parameter in module.parameters()),
        threads=threads,
        plain_seconds=median(times["plain"]),
        private_over_plain=_ratio(times["book_keeping"], times["plain"]),
        opacus_over_private=_ratio(times["opacus"], times["book_keeping"]),
        private_memory_over_plain=memory["book_keeping"] / memory["plain"],
        opacus_memory_over_plain=memory["opacus"] / memory["plain"],
    )


def _step(step: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    if step == "plain":
        PlainGradient()(module, inputs, _loss)
    else:
        clipped_gradient_sum(module, inputs, _loss, max_norm=1.0, engine=step)


def _loss(logits: Tensor) -> Tensor:
    real, fake = logits.chunk(2)
    return torch.cat([softplus(-real), softplus(fake)])


def _prepare(case: Case, rows: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return case.build(), (torch.rand(rows, *case.image_shape) * 2 - 1, torch.arange(rows) % 10)


def _memory(name: str, step: str) -> int:
    command = [sys.executable, "-m", "simulations.benchmarks.discriminator_step", "--memory", name, step]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _grown_peak(name: str, step: str) -> int:
    torch.set_num_threads(1)
    _step(step, *_prepare(CASES[name], 2))
    module, inputs = _prepare(CASES[name], CASES[name].rows)
    before = _peak()
    for _ in range(3):
        _step(step, module, inputs)
    return _peak() - before


def _peak() -> int:
    """Return the peak resident set in KiB; Linux alone, as elsewhere it would include that of the parent process."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].removesuffix("kB"))


def _ratio(above: list[float], below: list[float]) -> float:
    return median(a / b for a, b in zip(above, below, strict=True))


def _row(result: Result) -> str:
    return (
        f"{result.case:31} {result.threads:7d} {result.plain_seconds * 1e3:9.1f} {result.private_over_plain:8.2f} "
        f"{result.opacus_over_private:9.1f} {result.private_memory_over_plain:7.2f} "
        f"{result.opacus_memory_over_plain:7.2f}"
    )


if __name__ == "__main__":
    main()
