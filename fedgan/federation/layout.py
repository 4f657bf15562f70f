"""Arrays end to end in one run of bytes, and the layout that says what each of them is.

Flower carries every array of a message in requests of its own, each over a new connection here, and whoever asks for
one that is not there yet waits a second before asking again: many small arrays would cost a round more than training.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from math import prod
from typing import Any

import numpy as np

from fedgan.federation.compression import Packed
from fedgan.federation.requests import quoted

_DTYPES = ("float32", "float16", "int8")
_LONGEST = 200  # characters of an entry: dtype and shape
_WIDEST = 15  # digits of a size


def join(arrays: Packed) -> tuple[bytes, dict[str, str]]:
    """Return the values of `arrays`, little-endian and in C order, and for each its dtype and shape: "float32 3 4".

    Arrays follow each other by their names, so that the same arrays always make the same bytes.
    """
    data = BytesIO()
    layout: dict[str, str] = {}
    for name, array in sorted(arrays.items()):
        data.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
        layout[name] = " ".join(map(str, (array.dtype.name, *array.shape)))
    return data.getvalue(), layout


def split(data: bytes, layout: Mapping[str, Any]) -> Packed:
    """Return copies of the arrays that `join` made `data` and `layout` of.

    Raises:
        ValueError: an entry of the layout is none, or the bytes are not as many as it says; the text names the array.
    """
    arrays: Packed = {}
    offset = 0
    for name, entry in layout.items():
        dtype, shape = _entry(name, entry)
        count = prod(shape)
        if offset + count * dtype.itemsize > len(data):
            raise ValueError(f"array {quoted(name)} does not decode: {len(data)} bytes of arrays are too few")
        values = np.frombuffer(data, dtype, count, offset)
        arrays[name] = values.reshape(shape).astype(dtype.newbyteorder("="))
        offset += count * dtype.itemsize
    if offset != len(data):
        raise ValueError(f"{len(data)} bytes of arrays, of which {len(data) - offset} belong to none")
    return arrays


def _entry(name: str, entry: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return the little-endian dtype and the shape that an entry of a layout states."""
    dtype, *sizes = entry.split(" ") if isinstance(entry, str) and len(entry) <= _LONGEST else [""]
    if dtype not in _DTYPES or not all(size.isascii() and size.isdigit() and len(size) <= _WIDEST for size in sizes):
        raise ValueError(f"array {quoted(name)} does not decode: its layout is no dtype and shape")
    return np.dtype(dtype).newbyteorder("<"), tuple(map(int, sizes))
