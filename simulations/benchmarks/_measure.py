"""Time of several things that take turns, and memory of one thing in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from time import perf_counter

import torch


def take_turns(steps: Mapping[str, Callable[[], object]], turns: int, device: torch.device) -> dict[str, list[float]]:
    """Return the seconds of each step in each turn; a first turn, which warms up, is left out."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(turns + 1):
        for name, step in steps.items():
            _wait_for(device)
            start = perf_counter()
            step()
            _wait_for(device)
            if turn:
                times[name].append(perf_counter() - start)
    return times


def paired_ratio(above: list[float], below: list[float]) -> float:
    """Return the median over turns of the ratio of neighbours in time, which other load disturbs least."""
    return median(a / b for a, b in zip(above, below, strict=True))


class Peak:
    """The growth of peak memory since it was made, on a GPU or (on Linux) of this process.

    Elsewhere the figure of a process would include that of its parent.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self._before = self._now()

    def grown(self) -> int:
        """Return the growth in KiB."""
        return self._now() - self._before

    def _now(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) // 1024
        return resident("VmHWM")


def resident(name: str) -> int:
    """Return KiB of this process' memory (on Linux): "VmHWM" for the most it ever had, "VmRSS" for what it has now."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[name].removesuffix("kB"))


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
