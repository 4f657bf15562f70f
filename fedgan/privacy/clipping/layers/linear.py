"""Linear layers: gradients are sums of outer products, whose norms need no gradient.

Source for one position: Goodfellow 2015, arXiv:1510.01799.

Shapes: N samples, T positions of a sample, A inputs, B outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fedgan.privacy.clipping.layers.contribution import (
    Backward,
    Contribution,
    Instantiated,
    gram_product,
    scale_rows,
    square_sums,
)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Backward | None:
    """Rule of `torch.nn.functional.linear` for inputs (N, …, A)."""
    if input.dim() < 2 or weight.dim() != 2:
        return None
    inputs = input.detach()

    def backward(gradient: Tensor) -> dict[str, Contribution]:
        outputs = gradient.reshape(len(gradient), -1, weight.shape[0])
        rows = inputs.to(gradient.dtype).reshape(len(gradient), -1, weight.shape[1])
        return {"weight": outer_products(rows, outputs), "bias": Instantiated(outputs.sum(dim=1))}

    return backward


def outer_products(inputs: Tensor, outputs: Tensor) -> Contribution:
    """Return the contribution g_i = sum_t outputs_it inputs_it^T from inputs (N, T, A) and outputs (N, T, B)."""
    product = OuterProducts(inputs, outputs)
    weights = inputs.shape[2] * outputs.shape[2]
    if inputs.shape[1] > 1 and weights <= inputs.shape[1] * (inputs.shape[2] + outputs.shape[2]):
        return Instantiated(product.instantiate())
    return product


@dataclass(frozen=True)
class OuterProducts:
    """Gradients sum_t outputs_it inputs_it^T of a weight (B, A), from inputs (N, T, A) and outputs (N, T, B)."""

    inputs: Tensor
    outputs: Tensor

    def select(self, rows: Tensor | slice) -> OuterProducts:
        """Return the contribution of some of the samples."""
        return OuterProducts(self.inputs[rows], self.outputs[rows])

    def squared_norms(self) -> tuple[Tensor, Tensor | None]:
        """Return the squared norms by the product of the two Gram matrices (T, T), or directly where that is less."""
        positions, width = self.inputs.shape[1], self.inputs.shape[2] + self.outputs.shape[2]
        if positions == 1:
            return square_sums(self.inputs) * square_sums(self.outputs), None
        if positions * width > self.inputs.shape[2] * self.outputs.shape[2]:
            return Instantiated(self.instantiate()).squared_norms()
        return gram_product(self.inputs @ self.inputs.mT, self.outputs @ self.outputs.mT)

    def instantiate(self) -> Tensor:
        """Return the gradients (N, B, A)."""
        return self.outputs.mT @ self.inputs

    def weighted_sum(self, factors: Tensor) -> Tensor:
        """Return the weighted sum (B, A) as one product of matrices."""
        return scale_rows(self.outputs, factors).flatten(0, 1).mT @ self.inputs.flatten(0, 1)
