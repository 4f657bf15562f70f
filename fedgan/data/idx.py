"""Reads the IDX format of MNIST and its relatives, packed by gzip or not."""

from __future__ import annotations

import gzip
import struct
import zlib
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fedgan.errors import UsageError

UNSIGNED_BYTE = 0x08


def find_idx(folder: Path, name: str) -> Path | None:
    """Return the file `name` or `name`.gz in `folder`, the unpacked one first; None if there is neither."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def read_idx(path: Path, dimensions: int) -> Tensor:
    """Return the uint8 tensor of this many `dimensions` in an IDX file; a name ending in .gz is unpacked in memory.

    The format is two zero bytes, a byte for the type, one for the number of dimensions, each length as a big-endian
    32-bit integer, then the values in row-major order.

    Raises:
        UsageError: the file is damaged or holds something else.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"data.root: {path} cannot be read: {error}") from error
    start = 4 + 4 * dimensions
    if content[:4] != bytes((0, 0, UNSIGNED_BYTE, dimensions)) or len(content) < start:
        raise UsageError(f"data.root: {path} is not an IDX file of bytes in {dimensions} dimensions")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) != start + prod(shape):
        raise UsageError(
            f"data.root: {path} is damaged: {len(content) - start} bytes of values, expected {prod(shape)}"
        )
    return torch.from_numpy(np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape).copy())
