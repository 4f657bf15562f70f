"""The contract of what turns losses into gradients, with or without privacy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from torch import Tensor, nn


class GradientRule(Protocol):
    """Turns per-row losses into one gradient per parameter."""

    def __call__(
        self, module: nn.Module, inputs: tuple[Tensor, ...], loss: Callable[[Tensor], Tensor]
    ) -> Mapping[str, Tensor]:
        """Return the gradient of every trainable parameter, by name."""
