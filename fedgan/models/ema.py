"""A running average of a generator's weights, which samples better than its last iterate."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn


class ExponentialMovingAverage:
    """Exponential moving average of a network's parameters (Yaz et al. 2019, arXiv:1806.04498).

    Averaging a generator over the steps of adversarial training cancels its cycling around the equilibrium. Samples are
    drawn from the average while training goes on from the plain weights (as in Karras et al. 2018, arXiv:1710.10196).
    The average of weights that are already private costs no further privacy budget.

    Args:
        model: the network whose present weights start the average; it is copied, never changed.

    Attributes:
        module: the averaged network, in evaluation mode and without gradients.
    """

    def __init__(self, model: nn.Module) -> None:
        self.module = deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, decay: float) -> None:
        """Move the average towards `model`: average <- decay * average + (1 - decay) * weight; buffers are copied.

        Args:
            model: a network of the same architecture; its device may differ.
            decay: weight kept per call, in [0, 1], so an average over about 1 / (1 - decay) calls: 0 copies the model,
                1 leaves the average as it is. A half-life of h calls is decay = 0.5 ** (1 / h).

        Raises:
            ValueError: `decay` lies outside [0, 1], or the networks' parameters or buffers differ in name or shape.
        """
        if not 0.0 <= decay <= 1.0:
            raise ValueError(f"decay = {decay!r} must lie in [0, 1]")
        averages, weights = dict(self.module.named_parameters()), dict(model.named_parameters())
        copies, buffers = dict(self.module.named_buffers()), dict(model.named_buffers())
        if _shapes(averages) != _shapes(weights) or _shapes(copies) != _shapes(buffers):
            raise ValueError("the model's parameters and buffers differ from those of the average")
        for name, average in averages.items():
            average.lerp_(weights[name].to(average.device, average.dtype), 1.0 - decay)
        for name, copy in copies.items():
            copy.copy_(buffers[name])

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged network's tensors by name; they share its memory."""
        return dict(self.module.state_dict())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Replace the average by `state`, a result of `state_dict`; names and shapes must match exactly."""
        self.module.load_state_dict(state)


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}
