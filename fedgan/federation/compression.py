"""Arrays in fewer bytes on their way between server and clients.

What is packed has left a vault and is private already, is public, or is clipped where it arrives, so rounding it is
post-processing: nothing here reads a record, and nothing is charged. Rounding is to the nearest and draws nothing, so
the same arrays always make the same bytes and a release that is given again is the same release.

Names are those of the arrays; with "int8" the scales of array "x" travel as array "scale/x".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fedgan.federation.requests import Arrays, quoted

Compression = Literal["none", "float16", "int8"]
COMPRESSIONS: tuple[str, ...] = get_args(Compression)

Packed = dict[str, NDArray[Any]]
"""Arrays as they travel, by name."""

BLOCK = 512
"""Values that share a scale: with 4 bytes of scale for 512 of values, int8 takes 1 / 3.97 of the bytes of float32."""

_DTYPES: dict[str, np.dtype[Any]] = {
    "none": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "int8": np.dtype(np.int8),
}
_LARGEST = {"none": np.inf, "float16": 65504.0, "int8": 1e38}
_LEVELS = 127
_SCALES = "scale/"


def pack(arrays: Arrays, compression: str) -> Packed:
    """Return `arrays` as they travel.

    With "float16" a value x comes back within |x| / 2048 or 2^-25, whichever is more; with "int8" within half a scale,
    the scale being the largest magnitude in its block of 512 values over 127.

    Raises:
        ValueError: a value is not finite or too large for `compression`; the text names the array alone. "none" passes
            on whatever it is given.
    """
    if compression == "none":
        return dict(arrays)
    packed: Packed = {}
    for name, array in arrays.items():
        if (
            array.size and not float(np.abs(array).max()) <= _LARGEST[compression]
        ):  # false for values that are not numbers
            raise ValueError(f"array {name} has values that {compression} cannot hold")
        if compression == "float16":
            packed[name] = array.astype(np.float16)
        else:
            packed[name], packed[_SCALES + name] = _quantise(array)
    return packed


def unpack(packed: Mapping[str, NDArray[Any]], compression: str) -> Arrays:
    """Return what `pack` was given, up to its rounding.

    Raises:
        ValueError: an array is not of this compression, or a scale is missing, misshapen, or no scale at all; the text
            names the array.
    """
    scales = {name: array for name, array in packed.items() if compression == "int8" and name.startswith(_SCALES)}
    values = {name: array for name, array in packed.items() if name not in scales}
    if stray := sorted(scales.keys() - {_SCALES + name for name in values}):
        raise ValueError(f"array {quoted(stray[0])} belongs to no array")
    for name, array in values.items():
        if array.dtype != _DTYPES[compression]:
            raise ValueError(f"array {quoted(name)} is not {_DTYPES[compression]}")
    if compression == "none":
        return values
    if compression == "float16":
        return {name: array.astype(np.float32) for name, array in values.items()}
    return {name: _restore(name, array, scales.get(_SCALES + name)) for name, array in values.items()}


def packed_bytes(shapes: Iterable[tuple[int, ...]], compression: str) -> int:
    """Return the bytes of arrays of these `shapes` as they travel, without any framing."""
    sizes = [prod(shape) for shape in shapes]
    scales = 4 * sum(_blocks(size) for size in sizes) if compression == "int8" else 0
    return _DTYPES[compression].itemsize * sum(sizes) + scales


def rounding_std(array: NDArray[np.float32], compression: str) -> float:
    """Return the deviation of the rounding in `array`, which came through `compression`, on average over its values.

    Rounding to steps of width w is taken for uniform on [-w / 2, w / 2], of variance w^2 / 12.
    """
    if compression == "none" or not array.size:
        return 0.0
    if compression == "float16":  # 11 binary digits, or fewer below 2^-14
        steps = np.exp2(np.frexp(np.maximum(np.abs(array), 2.0**-14))[1].astype(np.float64) - 11)
    else:
        blocks = np.abs(_in_blocks(array)).max(axis=1).astype(np.float64) / _LEVELS
        steps = np.repeat(blocks, BLOCK)[: array.size]
    return float(np.sqrt(np.square(steps).mean() / 12))


def less(arrays: Arrays, base: Arrays) -> Arrays:
    """Return `arrays`, each less the one of its name in `base` if there is one: updates round finer than networks."""
    return {name: array - base[name] if name in base else array for name, array in arrays.items()}


def plus(arrays: Arrays, base: Arrays) -> Arrays:
    """Return `arrays`, each plus the one of its name in `base` if there is one of its shape."""
    return {
        name: array + base[name] if name in base and base[name].shape == array.shape else array
        for name, array in arrays.items()
    }


def _blocks(size: int) -> int:
    return -(-size // BLOCK)


def _quantise(array: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return `array` in steps of its blocks' scales, and the scales (blocks,)."""
    blocks = _in_blocks(array)
    peaks = np.abs(blocks).max(axis=1, initial=0.0)
    scales = (peaks / _LEVELS).astype(np.float32)
    too_low = scales.astype(np.float64) * _LEVELS < peaks  # rounded down, which shows among the smallest numbers
    scales[too_low] = np.nextafter(scales[too_low], np.float32(np.inf))
    steps = np.divide(blocks, scales[:, None], out=np.zeros_like(blocks), where=scales[:, None] > 0)
    np.rint(steps, out=steps)
    return steps.astype(np.int8).reshape(-1)[: array.size].reshape(array.shape), scales


def _restore(name: str, array: NDArray[np.int8], scales: NDArray[Any] | None) -> NDArray[np.float32]:
    if scales is None:
        raise ValueError(f"array {quoted(name)} has no scales")
    if scales.dtype != np.float32 or scales.shape != (_blocks(array.size),):
        raise ValueError(f"the scales of array {quoted(name)} are {scales.dtype} of shape {scales.shape}")
    if not (np.isfinite(scales) & (scales >= 0)).all():
        raise ValueError(f"a scale of array {quoted(name)} is not finite or below 0")
    blocks = _in_blocks(array).astype(np.float32)
    with np.errstate(over="ignore"):  # a stranger's scale; what it makes is looked at as every array is
        blocks *= scales[:, None]
    return blocks.reshape(-1)[: array.size].reshape(array.shape)


def _in_blocks(array: NDArray[Any]) -> NDArray[Any]:
    """Return the values of `array` in rows of `BLOCK`, the last one filled up with zeros."""
    flat = array.reshape(-1)
    missing = _blocks(flat.size) * BLOCK - flat.size
    if missing:
        flat = np.concatenate([flat, np.zeros(missing, flat.dtype)])
    return flat.reshape(-1, BLOCK)
