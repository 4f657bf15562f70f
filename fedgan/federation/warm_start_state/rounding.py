"""What a client sees of arrays that a server sends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from fedgan.federation.compression import Compression, pack, unpack


def as_seen(compression: Compression) -> Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]:
    """Return the function from arrays to what is left of them after travelling in `compression`."""

    def seen(arrays: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        packed = pack({name: tensor.numpy() for name, tensor in arrays.items()}, compression)
        return {name: torch.from_numpy(array) for name, array in unpack(packed, compression).items()}

    return seen
