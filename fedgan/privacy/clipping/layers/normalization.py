"""Normalisation layers that keep samples apart: their gains and biases are few, so gradients are written out.

Shapes: N samples, C channels, T positions.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from fedgan.privacy.clipping.layers.contribution import Backward, Contribution, Instantiated


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Backward | None:
    """Rule of `torch.nn.functional.group_norm` for inputs (N, C, …)."""
    inputs = input.detach()

    def backward(gradient: Tensor) -> dict[str, Contribution]:
        normalized = functional.group_norm(inputs.to(gradient.dtype), num_groups, eps=eps)
        return _per_channel(normalized, gradient)

    return backward


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Backward | None:
    """Rule of `torch.nn.functional.instance_norm` for inputs (N, C, …) without running statistics."""
    if input.dim() < 3 or not use_input_stats or running_mean is not None:
        return None
    inputs = input.detach()

    def backward(gradient: Tensor) -> dict[str, Contribution]:
        return _per_channel(functional.instance_norm(inputs.to(gradient.dtype), eps=eps), gradient)

    return backward


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Backward | None:
    """Rule of `torch.nn.functional.layer_norm` for inputs (N, …, *normalized_shape)."""
    if input.dim() <= len(normalized_shape):
        return None
    inputs = input.detach()

    def backward(gradient: Tensor) -> dict[str, Contribution]:
        normalized = functional.layer_norm(inputs.to(gradient.dtype), normalized_shape, eps=eps)
        return _per_feature(normalized, gradient, normalized_shape)

    return backward


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Backward | None:
    """Rule of `torch.nn.functional.rms_norm` for inputs (N, …, *normalized_shape)."""
    if input.dim() <= len(normalized_shape):
        return None
    inputs = input.detach()

    def backward(gradient: Tensor) -> dict[str, Contribution]:
        normalized = functional.rms_norm(inputs.to(gradient.dtype), normalized_shape, eps=eps)
        return _per_feature(normalized, gradient, normalized_shape)

    return backward


def _per_channel(normalized: Tensor, gradient: Tensor) -> dict[str, Contribution]:
    shape = (*gradient.shape[:2], -1)  # (N, C, T)
    weight = (normalized * gradient).reshape(shape).sum(dim=2)
    return {"weight": Instantiated(weight), "bias": Instantiated(gradient.reshape(shape).sum(dim=2))}


def _per_feature(normalized: Tensor, gradient: Tensor, features: Sequence[int]) -> dict[str, Contribution]:
    shape = (len(gradient), -1, *features)  # (N, T, *features)
    weight = (normalized * gradient).reshape(shape).sum(dim=1)
    return {"weight": Instantiated(weight), "bias": Instantiated(gradient.reshape(shape).sum(dim=1))}
