"""What one use of a parameter in a forward pass adds to each sample's gradient of that parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

_CPU_NUMBERS = 2**20
_GPU_NUMBERS = 2**26


class Contribution(Protocol):
    """Per-sample gradients g_1 … g_N of one parameter, held in whichever form is cheapest."""

    def select(self, rows: Tensor | slice) -> Contribution:
        """Return the contribution of some of the samples."""
        ...

    def squared_norms(self) -> tuple[Tensor, Tensor | None]:
        """Return ||g_i||^2, (N,), and the size (N,) of the terms that cancelled in it, None where none can have.

        The rounding error of the first is a few units in the last place of the second.
        """
        ...

    def instantiate(self) -> Tensor:
        """Return all g_i, shape (N, *parameter.shape)."""
        ...

    def weighted_sum(self, factors: Tensor) -> Tensor:
        """Return sum_i factors_i g_i, of the parameter's shape, for factors (N,)."""
        ...


Backward = Callable[[Tensor], dict[str, Contribution]]
"""Maps the gradient of a call's output to the contributions to its arguments "weight" and "bias"."""


@dataclass(frozen=True)
class Instantiated:
    """Per-sample gradients as they are: for parameters that are small beside the activations.

    Args:
        gradients: (N, *parameter.shape).
    """

    gradients: Tensor

    def select(self, rows: Tensor | slice) -> Instantiated:
        """Return the contribution of some of the samples."""
        return Instantiated(self.gradients[rows])

    def squared_norms(self) -> tuple[Tensor, None]:
        """Return the sums of squares, in which nothing cancels."""
        return square_sums(self.gradients), None

    def instantiate(self) -> Tensor:
        """Return the gradients."""
        return self.gradients

    def weighted_sum(self, factors: Tensor) -> Tensor:
        """Return the gradients summed with weights `factors`."""
        total: Tensor = torch.tensordot(factors, self.gradients, dims=1)
        return total


def square_sums(rows: Tensor) -> Tensor:
    """Return the squared L2 norm of each row of `rows` (N, …), shape (N,)."""
    norms: Tensor = torch.linalg.vector_norm(rows.reshape(len(rows), -1), dim=1)
    return norms.square()


def scale_rows(rows: Tensor, factors: Tensor) -> Tensor:
    """Return `rows` (N, …), each multiplied by its factor of `factors` (N,)."""
    return rows * factors.view(-1, *[1] * (rows.dim() - 1))


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Return `parts` one behind the other; a single one as it is, since each copy is a launch on a GPU."""
    return parts[0] if len(parts) == 1 else torch.cat([*parts])


def gram_product(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Return sum_{t,u} left_tu right_tu and sum_t left_tt right_tt, each (N,), of matrices (N, T, T)."""
    squares = (left * right).flatten(1).sum(dim=1).clamp(min=0)
    return squares, (left.diagonal(dim1=1, dim2=2) * right.diagonal(dim1=1, dim2=2)).sum(dim=1)


def row_chunks(
    rows: int, elements: int, device: torch.device, *, least: int = 1, most: int = _GPU_NUMBERS
) -> list[slice]:
    """Return slices that cover `rows` rows of `elements` numbers each.

    On a CPU a slice takes about 4 MiB a thread in float32: intermediate results of that size stay in its cache and out
    of the peak of memory. On a GPU, where each slice costs its launches anew, it holds up to `most` numbers. `least`
    rows are in a slice in any case.
    """
    numbers = _CPU_NUMBERS * torch.get_num_threads() if device.type == "cpu" else most
    step = max(least, numbers // max(1, elements))
    return [slice(start, start + step) for start in range(0, rows, step)]
