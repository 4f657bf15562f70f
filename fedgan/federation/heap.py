"""Memory that a training step frees stays with this process, for the next step to take.

glibc hands large freed blocks back to the operating system at once, and their pages are faulted in again at the next
step: some 15 % of what a private discriminator step takes (`python -m simulations.benchmarks.kept_memory`). Numbers of
options are those of glibc's malloc.h, their meaning is that of mallopt(3). Elsewhere than on Linux with glibc nothing
changes.
"""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_NEVER = -1


def keep_freed_memory() -> bool:
    """Let glibc keep what this process frees, until the process ends or `give_back_freed_memory` is called.

    Blocks of any size come from one heap that threads share: those that threads have to themselves hold 64 MiB at most.
    Threads that have one already keep it, so this belongs before they are started.

    Returns:
        Whether it is so now. It is not where malloc is set by the environment (`MALLOC_...`, or `GLIBC_TUNABLES`),
        which has the last word, nor without glibc.
    """
    library = _glibc()
    if library is None or _set_by_environment():
        return False
    options = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_ARENA_MAX, 1))
    return all(library.mallopt(option, value) == 1 for option, value in options)


def give_back_freed_memory() -> None:
    """Hand back to the operating system what is free now; with glibc alone."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """Return this process' C library if it is glibc: musl has neither function."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def _set_by_environment() -> bool:
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return "glibc.malloc." in tunables or any(name.startswith("MALLOC_") for name in os.environ)
