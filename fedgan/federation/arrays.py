"""Networks to flat named arrays and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from fedgan.federation.requests import Arrays
from fedgan.training.gan import Gan


def network_arrays(name: str, module: nn.Module) -> Arrays:
    """Return copies of `module`'s parameters and buffers as float32 arrays named "`name`/...".

    Raises:
        ValueError: a tensor is not floating point (an integer buffer has no meaningful average).
    """
    arrays: Arrays = {}
    for key, tensor in module.state_dict().items():
        if not tensor.is_floating_point():
            raise ValueError(f"{name}/{key} is {tensor.dtype}: networks of a federation hold float tensors only")
        arrays[f"{name}/{key}"] = tensor.detach().to("cpu", torch.float32, copy=True).numpy()
    return arrays


def networks_of(gan: Gan, names: Iterable[str]) -> Arrays:
    """Return the arrays of the networks called `names`."""
    arrays: Arrays = {}
    for name in names:
        arrays |= network_arrays(name, gan.network(name))
    return arrays


def gradient_arrays(gradients: Mapping[str, Tensor]) -> Arrays:
    """Return gradients by parameter name as float32 arrays named "gradient/..."."""
    return {f"gradient/{name}": value.detach().to("cpu", torch.float32).numpy() for name, value in gradients.items()}


def load_network(name: str, module: nn.Module, arrays: Arrays) -> None:
    """Copy the arrays named "`name`/..." into `module`; names and shapes must match exactly."""
    prefix = f"{name}/"
    state = {
        key.removeprefix(prefix): torch.from_numpy(np.ascontiguousarray(array))
        for key, array in arrays.items()
        if key.startswith(prefix)
    }
    module.load_state_dict(state, strict=True)


def select(arrays: Arrays, networks: Iterable[str]) -> Arrays:
    """Return the arrays that belong to one of `networks`."""
    prefixes = tuple(f"{name}/" for name in networks)
    return {key: array for key, array in arrays.items() if key.startswith(prefixes)}
