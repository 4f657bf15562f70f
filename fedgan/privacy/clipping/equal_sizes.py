"""Batches of few different sizes, where a new size is expensive: on a GPU, cuDNN plans each convolution anew for it.

A Poisson sample has another number of rows in almost every step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from fedgan.privacy.clipping.engine import ClippingEngine, LossFunction

_PARTS = 16
"""At most a sixteenth of the rows, or one, is added."""


def in_equal_sizes(engine: ClippingEngine) -> ClippingEngine:
    """Return `engine` made to work on `padded_size` rows; results are equal but for rounding.

    The last row is repeated. Nothing is taken from the outputs of the repetitions: their losses are constants, their
    gradients zeros, and their norms are dropped, so no row is counted twice.
    """

    def compute(
        module: nn.Module, inputs: tuple[Tensor, ...], loss: LossFunction, *, max_norm: float
    ) -> tuple[dict[str, Tensor], Tensor]:
        rows = len(inputs[0])
        more = padded_size(rows) - rows
        if more == 0:
            return engine(module, inputs, loss, max_norm=max_norm)
        padded = tuple(torch.cat([values, values[-1:].expand(more, *values.shape[1:])]) for values in inputs)
        sums, norms = engine(module, padded, _without_last(loss, more), max_norm=max_norm)
        return sums, norms[:rows]

    return compute


def padded_size(rows: int) -> int:
    """Return the next multiple of the largest power of two that is at most a sixteenth of `rows`, or `rows` if none."""
    step = 1 << max(0, (rows // _PARTS).bit_length() - 1)
    return -(-rows // step) * step


def _without_last(loss: LossFunction, more: int) -> LossFunction:
    """Return `loss` of all but the last `more` outputs, and zeros for these."""

    def compute(outputs: Tensor) -> Tensor:
        losses = loss(outputs[: len(outputs) - more])
        return torch.cat([losses, losses.new_zeros(more)])

    return compute
