"""Per-sample gradients of convolution weights, by whichever of three ways costs least.

Shapes: N samples, A channels and *S positions of the signal, B channels and *T positions of the response, G groups,
*K positions of the kernel. T, K also stand for the products of these sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from fedgan.privacy.clipping.layers.contribution import (
    Contribution,
    Instantiated,
    gram_product,
    joined,
    row_chunks,
    scale_rows,
    square_sums,
)
from fedgan.privacy.clipping.layers.patches import Geometry, patch_gram, patch_gram_cost, patches

WRITE_COST = 80
"""Multiplications that take as long as writing one number of a large array to memory, measured on CPUs."""

INSTANTIATION_COST = 1.3
"""Time of a multiplication in per-sample gradients over that in the gradient of a batch, measured on CPUs."""

MANY_POSITIONS = 128
SMALL_PATCH = 64
"""Where positions are many and a patch holds more numbers than this, a grouped convolution instantiates gradients
faster than patches do, measured on CPUs."""

REORDERED = 4
"""Gradients by a grouped convolution are in memory several times over, as it works in a layout of its own."""

SMALL_ON_GPU = 2**22
"""Numbers that a GPU's memory does not notice."""


def correlations(signal: Tensor, response: Tensor, geometry: Geometry) -> Contribution:
    """Return the contribution g_i[b, a, k] = sum_t response_i[b, t] signal_i[a, stride t + dilation k - padding].

    Gradients are kept, which saves their recomputation for the weighted sum, where that is the cheaper way and they
    take at most about the memory of the activations that they replace.

    Args:
        signal: (N, A, *S).
        response: (N, B, *T).
        geometry: of the convolution that takes the signal to the response, of kernel (B, A / G, *K).
    """
    correlation = Correlation(signal, response, geometry)
    activations = signal[0].numel() + response[0].numel()
    if correlation.cheaper_written_out(kept=True) and correlation.weights <= 2 * activations:
        return Instantiated(correlation.instantiate())
    return correlation


@dataclass(frozen=True)
class Correlation:
    """Gradients as described at `correlations`, of a weight (B, A / G, *K)."""

    signal: Tensor
    response: Tensor
    geometry: Geometry

    @property
    def weights(self) -> int:
        """Number of weights."""
        return prod(self._shape())

    def cheaper_written_out(self, *, kept: bool) -> bool:
        """Return whether norms take less time from the gradients than from Gram matrices.

        Args:
            kept: the gradients also serve for the weighted sum, which takes no further product then.
        """
        product = prod(self.response.shape[2:]) * self.weights
        written = INSTANTIATION_COST * product + WRITE_COST * self.weights
        return written - (product if kept else 0) < self._gram_cost()

    def select(self, rows: Tensor | slice) -> Correlation:
        """Return the contribution of some of the samples."""
        if isinstance(rows, slice) and rows.start == 0 and rows.stop >= len(self.signal):
            return self
        return Correlation(self.signal[rows], self.response[rows], self.geometry)

    def squared_norms(self) -> tuple[Tensor, Tensor | None]:
        """Return the squared norms, some samples at a time."""
        if self.cheaper_written_out(kept=False):
            written = [square_sums(self.select(rows).instantiate()) for rows in self._chunks(self.weights)]
            return joined(written), None
        parts = [self.select(rows)._gram() for rows in self._chunks(self._gram_elements())]
        return joined([squares for squares, _ in parts]), joined([scale for _, scale in parts])

    def instantiate(self) -> Tensor:
        """Return the gradients (N, B, A / G, *K)."""
        gradients = self.signal.new_empty(len(self.signal), *self._shape())
        positions, patch = prod(self.response.shape[2:]), prod(self._shape()[1:])
        # On a GPU a grouped convolution is one kernel, and one launch, a group.
        by_patches = self.signal.is_cuda or positions < MANY_POSITIONS or patch <= SMALL_PATCH
        seen = patch * self.geometry.groups * positions
        elements = max(self.weights, seen) if by_patches else REORDERED * self.weights
        for rows in self._chunks(elements):
            part = self.select(rows)
            (part._by_patches if by_patches else part._by_groups)(gradients[rows])
        return gradients

    def weighted_sum(self, factors: Tensor) -> Tensor:
        """Return the weighted sum as one ordinary weight gradient."""
        signal, response = self.signal, self.response
        if signal.numel() < response.numel():
            signal = scale_rows(signal, factors)
        else:
            response = scale_rows(response, factors)
        return _weight_gradient(signal, response, self._shape(), self.geometry, self.geometry.groups)

    def _by_patches(self, gradients: Tensor) -> None:
        response = self.response.reshape(len(self.signal) * self.geometry.groups, -1, prod(self.response.shape[2:]))
        seen = patches(self.signal, self.geometry)
        torch.bmm(response, seen.mT, out=gradients.view(len(seen), -1, seen.shape[1]))

    def _by_groups(self, gradients: Tensor) -> None:
        rows, shape = len(self.signal), self._shape()
        signal = self.signal.reshape(1, -1, *self.signal.shape[2:])
        response = self.response.reshape(1, -1, *self.response.shape[2:])
        kernels = (rows * shape[0], *shape[1:])
        groups = rows * self.geometry.groups
        gradients[:] = _weight_gradient(signal, response, kernels, self.geometry, groups).view(rows, *shape)

    def _gram(self) -> tuple[Tensor, Tensor]:
        groups = self.geometry.groups
        response = self.response.reshape(len(self.response) * groups, -1, prod(self.response.shape[2:]))
        gram = patch_gram(self.signal, self.geometry, tuple(self.response.shape[2:]))
        squares, scale = gram_product(gram, response.mT @ response)
        return squares.view(-1, groups).sum(dim=1), scale.view(-1, groups).sum(dim=1)

    def _gram_cost(self) -> float:
        positions = prod(self.response.shape[2:])
        product = positions**2 * self.response.shape[1]
        return product + patch_gram_cost(self.signal.shape[1], self.geometry, tuple(self.response.shape[2:]))

    def _gram_elements(self) -> int:
        return self.signal[0].numel() + 3 * self.geometry.groups * prod(self.response.shape[2:]) ** 2

    def _chunks(self, elements: int) -> list[slice]:
        # As much as the activations, so that a GPU's peak of memory stays near that of an ordinary step.
        most = max(SMALL_ON_GPU, self.signal.numel() + self.response.numel())
        return row_chunks(len(self.signal), elements, self.signal.device, most=most)

    def _shape(self) -> tuple[int, ...]:
        return (self.response.shape[1], self.signal.shape[1] // self.geometry.groups, *self.geometry.kernel)


def _weight_gradient(
    signal: Tensor, response: Tensor, shape: tuple[int, ...], geometry: Geometry, groups: int
) -> Tensor:
    weight = signal.new_empty(shape)  # only its shape matters
    stride, padding, dilation = geometry.stride, geometry.padding, geometry.dilation
    no_output_padding = [0] * len(stride)
    gradient: Tensor = torch.ops.aten.convolution_backward(
        response,
        signal,
        weight,
        None,
        stride,
        padding,
        dilation,
        False,
        no_output_padding,
        groups,
        [False, True, False],
    )[1]
    return gradient
