"""What this process computes on: a GPU or the CPU, how many threads, and memory that it keeps."""

from __future__ import annotations

import os

import torch

from fedgan.errors import UsageError
from fedgan.federation.heap import keep_freed_memory


def pick_device(name: str) -> torch.device:
    """Return the device called `name`: "auto" takes a GPU if there is one; UsageError for a GPU that is not there."""
    if not is_here(name):
        raise UsageError("device = 'cuda' is not accepted: torch sees no GPU here; give 'cpu' or 'auto'")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def is_here(name: str) -> bool:
    """Return whether this machine has the device called `name`."""
    return name != "cuda" or torch.cuda.is_available()


def judging_device(name: str) -> torch.device:
    """Return the device to judge a run on that was trained on `name`: a GPU if there is one, unless that is "cpu".

    A run that was trained on a GPU can be judged without one.
    """
    return pick_device("cpu" if name == "cpu" else "auto")


def use_threads(threads: int) -> int:
    """Let torch use `threads` threads in this process, 0 for one a core; return the number.

    Set outright and not left to a default, since engines set other defaults in their workers and sums would round
    differently there.
    """
    number = threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(number)
    return number


def ready_to_train(threads: int) -> int:
    """Set this process up for training: `use_threads`, and freed memory that stays with it."""
    keep_freed_memory()
    return use_threads(threads)
