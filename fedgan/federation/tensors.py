"""State as named tensors and back, so that it can be saved without code."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def adam_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return Adam's state as "index/name" to tensor."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}/{name}": torch.as_tensor(value) for index, entry in state.items() for name, value in entry.items()
    }


def load_adam_state(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Take up what `adam_state` returned."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, entry = name.partition("/")
        state.setdefault(int(index), {})[entry] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def parted(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `tensors` by "part/name", as a checkpoint keeps them."""
    return {f"{part}/{name}": tensor for name, tensor in tensors.items()}


def part_of(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return the tensors of one part of a checkpoint, by name."""
    prefix = f"{part}/"
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
