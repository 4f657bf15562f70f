"""What a layer's parameters receive from each sample: one rule for each function that layers compute with.

A rule takes the arguments of such a function and returns how, given the gradient of its output, every sample's
gradient of `weight` and `bias` follows; or None where the call does not keep samples apart along dimension 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.nn import functional

from fedgan.privacy.clipping.layers.contribution import Backward
from fedgan.privacy.clipping.layers.convolution import convolution, transposed_convolution
from fedgan.privacy.clipping.layers.embedding import embedding
from fedgan.privacy.clipping.layers.linear import linear
from fedgan.privacy.clipping.layers.normalization import group_norm, instance_norm, layer_norm, rms_norm

Rule = Callable[..., Backward | None]

RULES: dict[Callable[..., Any], Rule] = {
    functional.linear: linear,
    functional.conv1d: convolution,
    functional.conv2d: convolution,
    functional.conv3d: convolution,
    functional.conv_transpose1d: transposed_convolution,
    functional.conv_transpose2d: transposed_convolution,
    functional.conv_transpose3d: transposed_convolution,
    functional.embedding: embedding,
    functional.group_norm: group_norm,
    functional.instance_norm: instance_norm,
    functional.layer_norm: layer_norm,
    functional.rms_norm: rms_norm,
}
