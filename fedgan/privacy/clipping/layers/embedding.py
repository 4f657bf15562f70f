"""Embeddings: a sample's gradient has as many rows as it looked up, so it is never written out.

Shapes: N samples, T indices of a sample, K vectors of length D.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fedgan.errors import UsageError
from fedgan.privacy.clipping.layers.contribution import Backward, Contribution, gram_product, scale_rows, square_sums


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Backward | None:
    """Rule of `torch.nn.functional.embedding` for indices (N, …).

    Raises:
        UsageError: gradients would be scaled by how often the batch uses an index, or the weights be changed by a
            forward pass, outside of any clipping.
    """
    if scale_grad_by_freq or max_norm is not None:
        option = "scale_grad_by_freq" if scale_grad_by_freq else "max_norm"
        raise UsageError(
            f"an embedding of the model has {option} set, by which one sample changes what others contribute: "
            "leave it out (model.name)"
        )
    if input.dim() < 1:
        return None
    indices = input.detach().reshape(len(input), -1)
    count, ignored = weight.shape[0], None if padding_idx is None else padding_idx % weight.shape[0]

    def backward(gradient: Tensor) -> dict[str, Contribution]:
        outputs = gradient.reshape(*indices.shape, weight.shape[1])
        if ignored is not None:
            outputs = outputs.masked_fill((indices == ignored).unsqueeze(2), 0)
        return {"weight": Lookups(indices, outputs, count)}

    return backward


@dataclass(frozen=True)
class Lookups:
    """Gradients that add outputs_it (N, T, D) to row indices_it (N, T) of a weight (count, D)."""

    indices: Tensor
    outputs: Tensor
    count: int

    def select(self, rows: Tensor | slice) -> Lookups:
        """Return the contribution of some of the samples."""
        return Lookups(self.indices[rows], self.outputs[rows], self.count)

    def squared_norms(self) -> tuple[Tensor, Tensor | None]:
        """Return the squared norms, in which outputs add up where a sample looked up one index twice."""
        if self.indices.shape[1] == 1:
            return square_sums(self.outputs), None
        same = self.indices.unsqueeze(1) == self.indices.unsqueeze(2)
        return gram_product(same.to(self.outputs.dtype), self.outputs @ self.outputs.mT)

    def instantiate(self) -> Tensor:
        """Return the gradients (N, count, D)."""
        rows = torch.arange(len(self.indices), device=self.indices.device).unsqueeze(1) * self.count
        gradients = self._add_up(rows + self.indices, self.outputs, len(self.indices) * self.count)
        return gradients.view(len(self.indices), self.count, -1)

    def weighted_sum(self, factors: Tensor) -> Tensor:
        """Return the weighted sum (count, D)."""
        return self._add_up(self.indices, scale_rows(self.outputs, factors), self.count)

    def _add_up(self, indices: Tensor, outputs: Tensor, count: int) -> Tensor:
        table = outputs.new_zeros(count, outputs.shape[2])
        return table.index_add_(0, indices.flatten(), outputs.flatten(0, 1))
