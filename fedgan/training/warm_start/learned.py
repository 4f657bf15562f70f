"""Features that a server has learned on generated images: what one record adds to the release that it asks for next."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, conv2d, linear

from fedgan.models import ImageShape
from fedgan.training.warm_start.rows import ClassFeatures, as_pixels, counted, cut_off

LEARNED = "learned"
"""Name of the family in a request; no configuration names it."""
_FILTERS = (16, 32)
_SIDE = 5
"""Pixels a side of a filter."""
_GRID = 7
"""Places a side at which the second layer's responses are averaged, at most."""
_HIDDEN = 128


def learned_shapes(image_shape: ImageShape) -> dict[str, tuple[int, ...]]:
    """Return the shape of every array of a learned map, by name: they follow from the images' (C, H, W) alone."""
    channels, height, width = image_shape
    first, second = _FILTERS
    rows, columns = (min(_GRID, (side + 3) // 4) for side in (height, width))
    return {
        "first": (first, channels, _SIDE, _SIDE),
        "first_bias": (first,),
        "second": (second, first, _SIDE, _SIDE),
        "second_bias": (second,),
        "hidden": (_HIDDEN, second * rows * columns),
        "hidden_bias": (_HIDDEN,),
        "centre": (_HIDDEN,),
    }


def hidden_features(images: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
    """Return the last hidden layer (N, 128), not negative, of `images` (N, C, H, W); arrays as `learned_shapes` says.

    Two convolutions of stride 2 and a linear layer, each rectified.
    """
    fine = conv2d(images, weights["first"], weights["first_bias"], stride=2, padding=_SIDE // 2).relu()
    coarse = conv2d(fine, weights["second"], weights["second_bias"], stride=2, padding=_SIDE // 2).relu()
    pooled = adaptive_avg_pool2d(coarse, (min(_GRID, coarse.shape[2]), min(_GRID, coarse.shape[3])))
    return linear(pooled.flatten(1), weights["hidden"], weights["hidden_bias"]).relu()


class LearnedMap(ClassFeatures):
    """Maps images (N, C, H, W) in [-1, 1] to rows (N, dimension) whose L2 norm never exceeds 1.

    A row is [a, b f] with a^2 + b^2 = 1 and f the last hidden features less a centre, scaled down to norm 1 if they are
    longer.

    Guarantee: every row is finite with norm at most 1, whatever the image and whatever the weights: a feature that is
    not finite counts as 0. `placed`, of which sums over records are made, computes each row by itself, in float64 on
    the CPU. In one product over a batch the rounding of a row may depend on the other records, and weights that a
    server chose for it could make any difference of that.

    Args:
        image_shape: (channels, height, width) in pixels.
        weights: arrays of the shapes of `learned_shapes`.

    Attributes:
        dimension: length of a row; the constant coordinate is the first.
        count_weight: a above.

    Raises:
        ValueError: an array is missing, or has another shape.
    """

    def __init__(self, image_shape: ImageShape, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        shapes = learned_shapes(image_shape)
        if {name: tuple(tensor.shape) for name, tensor in weights.items()} != shapes:
            raise ValueError("these are not the arrays of a learned map for such images")
        for name in shapes:
            self.register_buffer(name, weights[name].detach().float(), persistent=False)
        self.dimension = 1 + _HIDDEN

    def forward(self, images: Tensor) -> Tensor:
        """Return the rows (N, dimension) of `images` (N, C, H, W); differentiable."""
        return _rows(as_pixels(images), dict(self.named_buffers()))

    def placed(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows (N, dimension) float64, on the CPU, of `images` (N, C, H, W), and the sum (N,) of each."""
        weights = {name: buffer.cpu().double() for name, buffer in self.named_buffers()}
        rows = torch.zeros(len(images), self.dimension, dtype=torch.float64)
        for index, image in enumerate(as_pixels(images.cpu().double())):
            rows[index] = _rows(image[None], weights)[0]
        return rows, labels


def _rows(images: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
    offsets = hidden_features(images, weights) - weights["centre"]
    return counted(cut_off(torch.nan_to_num(offsets, nan=0.0, posinf=0.0, neginf=0.0)))
