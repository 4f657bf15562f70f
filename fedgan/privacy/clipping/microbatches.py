"""Clipping a logical batch some rows at a time, so that memory does not grow with the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from fedgan.privacy.clipping.engine import ClippingEngine, LossFunction


def in_microbatches(engine: ClippingEngine, rows: int) -> ClippingEngine:
    """Return `engine` made to work on at most `rows` samples at a time; results are equal but for rounding.

    Raises:
        ValueError: `rows` is not positive.
    """
    if rows < 1:
        raise ValueError(f"microbatch must be positive, not {rows!r}")

    def compute(
        module: nn.Module, inputs: tuple[Tensor, ...], loss: LossFunction, *, max_norm: float
    ) -> tuple[dict[str, Tensor], Tensor]:
        total, norms = len(inputs[0]), []
        sums: dict[str, Tensor] = {}
        for start in range(0, total, rows):
            part = tuple(values[start : start + rows] for values in inputs)
            found, norm = engine(module, part, loss_of_slice(loss, start, total), max_norm=max_norm)
            sums = {name: sums[name] + value if sums else value for name, value in found.items()}
            norms.append(norm)
        return sums, torch.cat(norms)

    return compute


def loss_of_slice(loss: LossFunction, start: int, total: int) -> LossFunction:
    """Return the loss of consecutive samples of a batch of `total`, the first of which is number `start`.

    A loss may treat samples by their place in the batch (real ones first, fakes behind), so it is given a whole batch:
    the outputs of all other samples are zeros, and their losses are dropped.
    """

    def compute(outputs: Tensor) -> Tensor:
        before = outputs.new_zeros(start, *outputs.shape[1:])
        behind = outputs.new_zeros(total - start - len(outputs), *outputs.shape[1:])
        losses = loss(torch.cat([before, outputs, behind]))
        if losses.shape != (total,):
            raise ValueError(f"loss must return shape ({total},), one a sample, not {tuple(losses.shape)}")
        return losses[start : start + len(outputs)]

    return compute


def loss_of_row(loss: LossFunction, output: Tensor, row: Tensor, total: int) -> Tensor:
    """Return the loss of one sample, as `loss_of_slice` does, where its number `row` is a tensor under `vmap`.

    Args:
        loss: maps the output of `total` samples to `total` losses.
        output: of this one sample, of shape (1, …).
        row: its number, of shape ().
        total: samples in the batch.
    """
    here = torch.arange(total, device=output.device) == row
    outputs = torch.where(here.view(-1, *[1] * (output.dim() - 1)), output, torch.zeros_like(output))
    losses = loss(outputs)
    return torch.where(here, losses, torch.zeros_like(losses)).sum()
