"""Weights of bounded spectral norm, by projection after a step: post-processing, whatever the step cost.

Gouk et al. 2018 (arXiv:1804.04368) keep a network's Lipschitz constant so; Miyato et al. 2018 (arXiv:1802.05957) divide
by the norm inside the forward pass, which would cost every record's gradient a pass through that division.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_ITERATIONS = 20


@torch.no_grad()
def bound_spectral_norms(module: nn.Module, bound: float) -> None:
    """Scale every weight of a linear or convolutional layer whose spectral norm is above `bound` down to it, in place.

    A convolution's weight counts as the matrix (outputs, inputs * height * width), as in Miyato et al. The norm is
    estimated by 20 power iterations from a fixed vector, so it can be a little too low and a weight a little too large.

    Args:
        module: the network.
        bound: > 0, or 0 for none.
    """
    if bound == 0:
        return
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            norm = float(spectral_norm(layer.weight.flatten(1)))
            if norm > bound:
                layer.weight.mul_(bound / norm)


def spectral_norm(matrix: Tensor) -> Tensor:
    """Return the largest singular value () of `matrix` (M, N), estimated from below."""
    vector = torch.ones(matrix.shape[1], device=matrix.device, dtype=matrix.dtype)
    # A start that no symmetric pattern of weights is orthogonal to.
    vector += torch.linspace(-0.5, 0.5, matrix.shape[1], device=matrix.device, dtype=matrix.dtype)
    for _ in range(_ITERATIONS):
        vector = nn.functional.normalize(matrix.t() @ nn.functional.normalize(matrix @ vector, dim=0), dim=0)
    norm: Tensor = torch.linalg.vector_norm(matrix @ vector)
    return norm
