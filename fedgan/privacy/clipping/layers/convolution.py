"""Convolutions, plain and transposed: both are gradients of a correlation, with the two sides exchanged.

Padding modes other than zeros need nothing here, as such layers pad before they convolve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor
from torch.nn import functional

from fedgan.privacy.clipping.layers.contribution import Backward, Contribution, Instantiated
from fedgan.privacy.clipping.layers.correlation import correlations
from fedgan.privacy.clipping.layers.patches import Geometry

Size = int | Sequence[int]


def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Backward | None:
    """Rule of `torch.nn.functional.conv1d`, `conv2d` and `conv3d` for inputs (N, A, *S)."""
    dims = weight.dim() - 2
    if input.dim() != weight.dim():
        return None  # one sample without its batch dimension
    kernel, signal = tuple(weight.shape[2:]), input.detach()
    dilations = _sizes(dilation, dims)
    if isinstance(padding, str):
        signal, padding = _pad_same(signal, kernel, dilations) if padding == "same" else signal, 0
    geometry = Geometry(kernel, _sizes(stride, dims), _sizes(padding, dims), dilations, groups)

    def backward(gradient: Tensor) -> dict[str, Contribution]:
        return {
            "weight": correlations(signal.to(gradient.dtype), gradient, geometry),
            "bias": Instantiated(gradient.flatten(2).sum(dim=2)),
        }

    return backward


def transposed_convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Backward | None:
    """Rule of `torch.nn.functional.conv_transpose1d` to `3d` for inputs (N, B, *T)."""
    dims = weight.dim() - 2
    if input.dim() != weight.dim():
        return None
    response, extra = input.detach(), _sizes(output_padding, dims)
    paddings = _sizes(padding, dims)
    geometry = Geometry(tuple(weight.shape[2:]), _sizes(stride, dims), paddings, _sizes(dilation, dims), groups)

    def backward(gradient: Tensor) -> dict[str, Contribution]:
        signal, shape = gradient, geometry
        if any(extra):  # no weight reaches the last rows that output_padding adds
            signal = _pad(gradient, [(pad, pad - last) for pad, last in zip(paddings, extra, strict=True)])
            shape = replace(geometry, padding=(0,) * dims)
        return {
            "weight": correlations(signal, response.to(gradient.dtype), shape),
            "bias": Instantiated(gradient.flatten(2).sum(dim=2)),
        }

    return backward


def _pad_same(signal: Tensor, kernel: Sequence[int], dilation: Sequence[int]) -> Tensor:
    totals = [step * (size - 1) for step, size in zip(dilation, kernel, strict=True)]
    return _pad(signal, [(total // 2, total - total // 2) for total in totals])


def _pad(signal: Tensor, sides: Sequence[tuple[int, int]]) -> Tensor:
    return functional.pad(signal, [width for side in reversed(sides) for width in side])


def _sizes(size: Size, dims: int) -> tuple[int, ...]:
    sizes = (size,) if isinstance(size, int) else tuple(size)
    return sizes * dims if len(sizes) == 1 else sizes
