"""Float32 that is float32: what a norm bounds has to be what is summed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch.backends import cuda, cudnn, mkldnn

_OPERATIONS = ((cuda, "matmul"), (cudnn, "conv"), (cudnn, "rnn"), (mkldnn, "matmul"), (mkldnn, "conv"))


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 convolutions and matrix products in float32 inside the block, on CPUs and GPUs.

    By default torch rounds the operands of a GPU's convolutions to TensorFloat-32, of 11 significant bits, and programs
    may ask for as much in matrix products (`torch.set_float32_matmul_precision`). A norm and the gradient that it is
    to bound come from different products: each rounded by itself, they would differ by some 1e-3, and a sample could
    change the clipped sum by that much more than the accountant is told. The settings are of the whole process; they
    are put back afterwards.
    """
    operations = [getattr(backend, operation) for backend, operation in _OPERATIONS]
    before = [operation.fp32_precision for operation in operations]
    try:
        for operation in operations:
            operation.fp32_precision = "ieee"
        yield
    finally:
        for operation, precision in zip(operations, before, strict=True):
            operation.fp32_precision = precision
