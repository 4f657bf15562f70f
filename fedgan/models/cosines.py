"""The orthonormal cosines in which smooth images have few coefficients."""

from __future__ import annotations

from math import pi, sqrt

import torch
from torch import Tensor

MOST_COSINES = 14
"""Cosines a side that images are described by: classifiers of small images use little beyond them."""

_FALL_OFF = 4.0


def orthonormal_cosines(length: int, count: int) -> Tensor:
    """Return the lowest `count` <= `length` vectors of the orthonormal DCT-II (count, length) float64.

    Ahmed et al. 1974, "Discrete cosine transform"; the rows are orthonormal, so coefficients never have a larger norm
    than the signal.
    """
    order = torch.arange(count, dtype=torch.float64)
    position = (torch.arange(length, dtype=torch.float64) + 0.5) / length
    basis = torch.cos(pi * order[:, None] * position) * sqrt(2.0 / length)
    basis[0] = sqrt(1.0 / length)
    return basis


def low_cosines(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the cosines (min(14, height), height) and (min(14, width), width) of an image's sides, float64."""
    sides = (orthonormal_cosines(side, min(MOST_COSINES, side)) for side in (height, width))
    rows, columns = sides
    return rows, columns


def falling_spectrum(rows: int, columns: int) -> Tensor:
    """Return how the cosine coefficients of natural images fall off: 1 / (1 + (i^2 + j^2) / 16), (rows, columns)."""
    squares = torch.arange(rows)[:, None] ** 2 + torch.arange(columns) ** 2
    return 1.0 / (1.0 + squares / _FALL_OFF**2)
