"""Many files on a few cores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_WORTH_IT = 50_000_000  # bytes: below, starting processes takes longer than it saves


def each(work: Callable[[Path], T], files: Sequence[Path], workers: int) -> Iterable[T]:
    """Return what `work` returns for each of `files`, in their order, from up to `workers` processes.

    An exception of `work` is raised here, the one of the first file that has one.
    """
    if workers < 2 or len(files) < 2 or sum(_size(file) for file in files) < _WORTH_IT:
        return map(work, files)
    return _spread(work, files, workers)


def _spread(work: Callable[[Path], T], files: Sequence[Path], workers: int) -> Iterator[T]:
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        yield from pool.map(work, files, chunksize=8)


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0
