"""Dropout in the discriminator, its masks drawn for each row by a key of the row's own.

Torch's dropout deals its masks out by the place in the batch, from a global stream: a record that leaves would change
those of all others. Here a mask is a function of the row's key, and a record's key of the record and the step.
"""

from __future__ import annotations

from functools import partial
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from fedgan.training.record_streams import record_words

_KEYS = 2**62


def record_keys(images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """Return a key (B,) int64 for each record, images (B, C, H, W) and labels (B,), in the step that `rng` names.

    Guarantee: the i-th key is a function of the i-th record and of what is public; `rng` advances alike whatever B.
    """
    step = int(torch.randint(_KEYS, (), generator=rng))
    words = record_words("dropout", step, images, labels, 2).astype(np.int64)
    return torch.from_numpy((words[:, 0] << 32 | words[:, 1]) % _KEYS).to(images.device)


def generated_keys(count: int, rng: torch.Generator, device: torch.device) -> Tensor:
    """Return keys (count,) int64 for generated rows, which are public."""
    return torch.randint(_KEYS, (count,), generator=rng).to(device)


def places(module: nn.Module) -> list[nn.LeakyReLU]:
    """Return the layers after which units are dropped."""
    return [layer for layer in module.modules() if isinstance(layer, nn.LeakyReLU)]


class DroppingCritic(nn.Module):
    """A discriminator that drops units behind its rectifiers (Srivastava et al. 2014, "Dropout").

    Args:
        discriminator: maps images (N, C, H, W) and labels (N,) to logits (N,) or pairs (N, 2), row by row.
        rate: chance in [0, 1) with which a unit of a row is 0; the others grow by 1 / (1 - rate).
    """

    def __init__(self, discriminator: nn.Module, rate: float) -> None:
        super().__init__()
        self.discriminator = discriminator
        self._rate = rate

    def forward(self, images: Tensor, labels: Tensor, keys: Tensor) -> Tensor:
        """Return logits (N,) or pairs (N, 2) with the units dropped that keys (N,) int64 choose."""
        handles = [
            layer.register_forward_hook(partial(_drop, keys=keys, place=place, rate=self._rate))
            for place, layer in enumerate(places(self.discriminator))
        ]
        try:
            output: Tensor = self.discriminator(images, labels)
        finally:
            for handle in handles:
                handle.remove()
        return output


def _drop(
    layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, *, keys: Tensor, place: int, rate: float
) -> Tensor:
    kept = _uniforms(keys, place, prod(output.shape[1:])) >= rate  # (N, units)
    return output * (kept / (1 - rate)).to(output.dtype).view(output.shape)


def _uniforms(keys: Tensor, place: int, units: int) -> Tensor:
    """Return a number in [0, 1) for each of N rows and each unit, (N, units), by keys (N,).

    It is the finaliser of SplitMix64 (Steele et al. 2014, "Fast splittable pseudorandom number generators") on the key
    plus a multiple of its increment, one multiple for each unit of each place.
    """
    index = torch.arange(1, units + 1, device=keys.device) + place * 2**32
    bits = keys[:, None] + index * _signed(0x9E3779B97F4A7C15)
    bits = (bits ^ _shifted(bits, 30)) * _signed(0xBF58476D1CE4E5B9)
    bits = (bits ^ _shifted(bits, 27)) * _signed(0x94D049BB133111EB)
    numbers: Tensor = _shifted(bits ^ _shifted(bits, 31), 40) / 2**24
    return numbers


def _shifted(bits: Tensor, count: int) -> Tensor:
    """Return `bits` (int64) shifted right by `count`, zeros coming in."""
    return (bits >> count) & ((1 << (64 - count)) - 1)


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value
