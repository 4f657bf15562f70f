"""The patches of a signal that a convolution looks at, and the Gram matrix of patches without forming any.

Shapes as in `correlation`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import prod

from torch import Tensor
from torch.nn.functional import pad

SHIFT_COST = 10
"""Multiplications that take as long as adding one number of an array in cache, measured on CPUs."""


@dataclass(frozen=True)
class Geometry:
    """Where a convolution looks: every tuple has one entry a spatial dimension."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


@dataclass(frozen=True)
class Taps:
    """Offsets of a kernel along one dimension that look at the same lattices of the signal.

    At position t of the output, tap k reads the signal at stride t + dilation k = stride (t + q) + r, which is place
    t + q of the r-th of `stride` interleaved lattices.
    """

    shifts: tuple[int, ...]  # the q
    phases: tuple[int, ...]  # the r that have exactly these q


def patches(signal: Tensor, geometry: Geometry) -> Tensor:
    """Return what each output position sees, (N G, A / G * K, T)."""
    view, dims = _padded(signal, geometry), len(geometry.kernel)
    for dim in range(dims):
        reach = geometry.dilation[dim] * (geometry.kernel[dim] - 1) + 1
        view = view.unfold(2 + dim, reach, geometry.stride[dim])
        view = view[..., :: geometry.dilation[dim]]
    # (N, A, *T, *K)
    view = view.permute(0, 1, *range(2 + dims, 2 + 2 * dims), *range(2, 2 + dims))
    return view.reshape(len(signal) * geometry.groups, -1, prod(view.shape[2 + dims :]))


def patch_gram(signal: Tensor, geometry: Geometry, positions: tuple[int, ...]) -> Tensor:
    """Return the Gram matrices (N G, T, T) of `patches`.

    The inner product of two patches is a sum over the kernel of inner products of pixels. So the pixels' Gram matrix,
    which is smaller, is added to itself, shifted; a stride splits the pixels into lattices that do not mix.

    Args:
        signal: (N, A, *S).
        geometry: of the convolution.
        positions: *T, the shape of its output.
    """
    padded, total = _padded(signal, geometry), None
    for taps in product(*_taps(geometry)):
        grid = _grid(taps, positions)
        pixels = _lattices(padded, taps, grid, geometry)
        gram = (pixels.mT @ pixels).view(len(pixels), *grid, *grid)
        for dim, tap in enumerate(taps):
            gram = _add_shifted(gram, 1 + dim, 1 + dim + len(grid), tap.shifts, positions[dim])
        total = gram if total is None else total + gram
    assert total is not None
    return total.reshape(len(total), prod(positions), prod(positions))


@cache
def patch_gram_cost(channels: int, geometry: Geometry, positions: tuple[int, ...]) -> float:
    """Return the cost of `patch_gram` for one sample of A `channels`, in multiplications."""
    cost = 0.0
    for taps in product(*_taps(geometry)):
        sites = prod(_grid(taps, positions)) ** 2
        cost += sites * channels * prod(len(tap.phases) for tap in taps)
        cost += SHIFT_COST * sites * geometry.groups * sum(len(tap.shifts) for tap in taps)
    return cost


@cache
def _taps(geometry: Geometry) -> list[list[Taps]]:
    """Return the taps of each dimension; a model has few geometries and asks again in every step."""
    found = []
    for size, stride, dilation in zip(geometry.kernel, geometry.stride, geometry.dilation, strict=True):
        shifts: dict[int, list[int]] = defaultdict(list)
        for tap in range(size):
            shift, phase = divmod(dilation * tap, stride)
            shifts[phase].append(shift)
        phases: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for phase, members in shifts.items():
            phases[tuple(members)].append(phase)
        found.append([Taps(members, tuple(same)) for members, same in phases.items()])
    return found


def _grid(taps: Sequence[Taps], positions: Sequence[int]) -> tuple[int, ...]:
    return tuple(size + max(tap.shifts) for tap, size in zip(taps, positions, strict=True))


def _lattices(padded: Tensor, taps: Sequence[Taps], grid: tuple[int, ...], geometry: Geometry) -> Tensor:
    """Return the pixels that `taps` read, (N G, A / G * phases, sites of the grid)."""
    phases = [*product(*(tap.phases for tap in taps))]
    channels = padded.shape[1]
    pixels = padded.new_empty(len(padded), channels, len(phases), *grid)
    for number, offsets in enumerate(phases):
        window = [
            slice(start, start + (size - 1) * stride + 1, stride)
            for start, size, stride in zip(offsets, grid, geometry.stride, strict=True)
        ]
        pixels[:, :, number] = padded[(slice(None), slice(None), *window)]
    return pixels.view(len(padded) * geometry.groups, -1, prod(grid))


def _add_shifted(gram: Tensor, row: int, column: int, shifts: Sequence[int], size: int) -> Tensor:
    parts = [gram.narrow(row, shift, size).narrow(column, shift, size) for shift in shifts]
    if len(parts) == 1:
        return parts[0]
    total = parts[0] + parts[1]
    for part in parts[2:]:
        total += part
    return total


def _padded(signal: Tensor, geometry: Geometry) -> Tensor:
    if not any(geometry.padding):
        return signal
    return pad(signal, [width for side in reversed(geometry.padding) for width in (side, side)])
