"""FedProx: a network in local training is tied to the weights that it began with (Li et al. 2020, arXiv:1812.06127)."""

from __future__ import annotations

from torch import nn


class Tie:
    """Adds the gradient of mu/2 ||w - w_t||^2 (equation 2), which is mu (w - w_t), to the gradients of a network.

    Under a guarantee for records it is added to the discriminator's gradient after clipping and noise, never to the
    rows' losses. It is a function of w_t, which the server sent, and of w, which came of w_t and earlier noisy
    gradients: no record enters, so the step is post-processing of the same mechanism, and sensitivity and noise are
    what they were. Inside the clip it would take room from the records' gradients and hide nothing more.

    Args:
        module: the network, in the state w_t.
        weight: mu >= 0; 0 adds nothing.
    """

    def __init__(self, module: nn.Module, weight: float) -> None:
        self._weight = weight
        self._pairs = [(value, value.detach().clone()) for value in module.parameters()] if weight else []

    def pull(self) -> None:
        """Add mu (w - w_t) to the gradient of each parameter that has one."""
        for parameter, start in self._pairs:
            if parameter.grad is not None:
                parameter.grad = parameter.grad + self._weight * (parameter.detach() - start)
