"""Moments of records in cells: what one record adds to a release of the warm start by local moments."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from fedgan.models import ImageShape
from fedgan.models.cosines import low_cosines
from fedgan.training.warm_start.rows import cut_off

_SCALES = {1: (0.3, sqrt(1 - 0.3**2), 0.0), 2: (0.25, 0.25, sqrt(1 - 2 * 0.25**2))}
_MARGIN = 1e-6
_COORDINATES_AT_A_TIME = 32


@dataclass(frozen=True, eq=False)
class Cells:
    """A public division of each class into cells, in coordinates of the class's own; all float32.

    A record has coordinates (basis (coefficients - origin)) / radius, and its cell is the one with the nearest centre.

    Attributes:
        origins: (classes, coefficients).
        bases: (classes, coordinates, coefficients), or (0, 0, 0): the coefficients are the coordinates.
        centres: (classes, cells, coordinates).
        radii: (classes,), all positive.
    """

    origins: Tensor
    bases: Tensor
    centres: Tensor
    radii: Tensor


class LocalMoments:
    """Maps a record to the moments of its coordinates about its cell's centre: a row of norm at most 1, in one cell.

    With r the coordinates less the centre, scaled down to norm 1 if it is longer, a row of order 2 is
    [a, b r, c r r^T] with the products of different coordinates once and times sqrt(2), so that its squared norm is
    a^2 + b^2 |r|^2 + c^2 |r|^4 <= a^2 + b^2 + c^2 = 1. Order 1 has no products. Sums of rows over a cell carry its
    number of records, their mean and their second moments.

    Guarantee: every row is finite with norm at most 1, whatever the image and whatever the cells: pixels that are no
    numbers count as 0, others are clamped to [-1, 1]. A record's row and its cell depend on that record alone: float64
    work of fixed order for each, whatever else is in the batch.

    Args:
        image_shape: (channels, height, width) in pixels.
        cells: where records are counted, the same for every client.
        order: 1 or 2.

    Attributes:
        dimension: length of a row.
        coordinates: how many a record has.
        count_weight, mean_weight, product_weight: a, b and c above.
    """

    device = torch.device("cpu")

    def __init__(self, image_shape: ImageShape, cells: Cells, order: int) -> None:
        self._rows, self._columns = low_cosines(*image_shape[1:])
        self._cells = [tensor.double() for tensor in (cells.origins, cells.bases, cells.centres, cells.radii)]
        self.order = order
        self.count_weight, self.mean_weight, self.product_weight = _SCALES[order]
        self.coordinates = cells.centres.shape[2]
        self._first, self._second = torch.triu_indices(self.coordinates, self.coordinates)
        self._twice = torch.where(self._first == self._second, 1.0, sqrt(2.0)).double()
        self.dimension = 1 + self.coordinates + (len(self._first) if order == 2 else 0)

    @staticmethod
    def coefficients(image_shape: ImageShape) -> int:
        """Return the number of low cosine coefficients of an image."""
        rows, columns = low_cosines(*image_shape[1:])
        return image_shape[0] * len(rows) * len(columns)

    def to(self, device: torch.device) -> LocalMoments:
        """Return self: moments are computed in float64 on the CPU, whatever device the networks are on."""
        return self

    def cells(self, num_classes: int) -> int:
        """Return the number of cells of all classes together."""
        return num_classes * self._cells[2].shape[1]

    def placed(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows (N, dimension) float64, on the CPU, of `images` (N, C, H, W), and the cell (N,) of each."""
        origins, bases, centres, radii = self._cells
        labels = labels.cpu()
        coordinates = _coefficients(images.cpu(), self._rows, self._columns) - origins[labels]
        if len(bases):
            # No matrix product: rows stay independent. Some coordinates at a time: each has a basis for every record.
            parts = bases.split(_COORDINATES_AT_A_TIME, dim=1)
            coordinates = torch.cat([(part[labels] * coordinates[:, None]).sum(2) for part in parts], dim=1)
        coordinates = coordinates / radii[labels, None]
        offsets = torch.nan_to_num(coordinates[:, None] - centres[labels])  # (N, cells, coordinates)
        cell = offsets.square().sum(2).argmin(1)
        nearest = offsets[torch.arange(len(labels)), cell]
        return self._row(nearest), labels * centres.shape[1] + cell

    def symmetric(self, products: Tensor) -> Tensor:
        """Return a row's products (..., P), without their weight, as symmetric matrices (..., coordinates, same)."""
        matrix = products.new_zeros(*products.shape[:-1], self.coordinates, self.coordinates)
        values = products / self._twice
        matrix[..., self._first, self._second] = values
        matrix[..., self._second, self._first] = values
        return matrix

    def _row(self, offsets: Tensor) -> Tensor:
        inside = cut_off(offsets)
        parts = [torch.full_like(inside[:, :1], self.count_weight), self.mean_weight * inside]
        if self.order == 2:
            parts.append(self.product_weight * self._twice * inside[:, self._first] * inside[:, self._second])
        return torch.cat(parts, dim=1) * (1.0 - _MARGIN)


def _coefficients(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the low cosine coefficients (N, C * count * count) float64 of `images` (N, C, H, W) in [-1, 1]."""
    images = torch.nan_to_num(images.double(), nan=0.0, posinf=1.0, neginf=-1.0).clamp(-1.0, 1.0)
    planes = images.flatten(0, 1)
    shape = (len(planes), -1, -1)
    low = rows.expand(*shape) @ planes @ columns.t().expand(*shape)
    return low.reshape(len(images), images.shape[1] * len(rows) * len(columns))
