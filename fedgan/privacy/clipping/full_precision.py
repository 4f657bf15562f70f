"""Float32 that is float32: what a norm bounds has to be what is summed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from torch.backends import cuda, cudnn, mkldnn

OPERATIONS = ((cuda, "matmul"), (cudnn, "conv"), (cudnn, "rnn"), (mkldnn, "matmul"), (mkldnn, "conv"))


class _Float32:
    """The settings of this process, and how many blocks need them to be exact."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._before: list[str] = []

    def enter(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = [operation.fp32_precision for operation in _operations()]
                for operation in _operations():
                    operation.fp32_precision = "ieee"
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                for operation, precision in zip(_operations(), self._before, strict=True):
                    operation.fp32_precision = precision


_FLOAT32 = _Float32()


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 convolutions and matrix products in float32 inside the block, on CPUs and GPUs.

    By default torch rounds the operands of a GPU's convolutions to TensorFloat-32, of 11 significant bits, and programs
    may ask for as much in matrix products (`torch.set_float32_matmul_precision`). A norm and the gradient that it is
    to bound come from different products: each rounded by itself, they would differ by some 1e-3, and a sample could
    change the clipped sum by that much more than the accountant is told.

    The settings are of the whole process: the first block to begin changes them for all threads, the last to end puts
    them back. An operation's setting that followed `torch.backends.fp32_precision` is its own afterwards. Inside,
    torch refuses to read its older switches (`torch.backends.cudnn.allow_tf32`, `torch.backends.cudnn.flags`).
    """
    _FLOAT32.enter()
    try:
        yield
    finally:
        _FLOAT32.leave()


def _operations() -> list[Any]:
    return [getattr(backend, operation) for backend, operation in OPERATIONS]
