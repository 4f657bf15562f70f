"""Local moments beside features: a mixture that features teach as a whole is held to what moments say of it, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from fedgan.models import ImageShape
from fedgan.models.cosines import low_cosines
from fedgan.training.warm_start.embedding import EmbeddingTarget
from fedgan.training.warm_start.moments import Cells, LocalMoments

LabelledRows = Callable[[Tensor, Tensor], Tensor]
"""Images (N, C, H, W) and labels (N,) -> rows (N, D)."""


@dataclass(frozen=True, eq=False)
class KeptMoments:
    """A release of moments, as it came in.

    Attributes:
        cells: in which records were counted.
        order: of the moments, 1 or 2.
        sums: with their noise, (classes * cells, dimension) float64.
        share: the release's part of the precision 1/noise^2.
    """

    cells: Cells
    order: int
    sums: Tensor
    share: float

    def state(self) -> dict[str, Tensor]:
        """Return it as tensors of their own, by name."""
        numbers = {"order": torch.tensor(self.order), "share": torch.tensor(self.share, dtype=torch.float64)}
        tensors = {**vars(self.cells), "sums": self.sums}
        return {**numbers, **{name: tensor.clone() for name, tensor in tensors.items()}}

    @classmethod
    def of_state(cls, state: Mapping[str, Tensor]) -> KeptMoments:
        """Return what `state` was made of; KeyError where a part is missing."""
        cells = Cells(**{name: state[name] for name in ("origins", "bases", "centres", "radii")})
        return cls(cells, int(state["order"]), state["sums"], float(state["share"]))


class MomentRows:
    """What generated images add to a release of moments: `LocalMoments.placed`, differentiable and fast.

    A row has a place for each cell of the image's class: the image's moments in that of its own cell, 0 in the others.
    Float32, and matrix products over the batch: no record is mapped here, so rows may differ in their last bits by what
    is beside them.

    Args:
        image_shape: (channels, height, width) in pixels.
        cells: of the release.
        order: of the moments, 1 or 2.
        device: that rows are computed on.
    """

    def __init__(self, image_shape: ImageShape, cells: Cells, order: int, device: torch.device) -> None:
        self._moments = LocalMoments(image_shape, cells, order)
        self._cosines = [cosines.float().to(device) for cosines in low_cosines(*image_shape[1:])]
        self._cells = Cells(**{name: tensor.to(device) for name, tensor in vars(cells).items()})

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the rows (N, cells * dimension) of `images` (N, C, H, W) with `labels` (N,)."""
        centres = self._cells.centres[labels]  # (N, cells, coordinates)
        offsets = self._coordinates(images, labels)[:, None] - centres
        cell = offsets.detach().square().sum(2).argmin(1)
        everyone = torch.arange(len(labels), device=labels.device)
        row = self._moments.row(offsets[everyone, cell])
        rows = row.new_zeros(*centres.shape[:2], row.shape[1])
        return rows.index_put((everyone, cell), row).flatten(1)

    def _coordinates(self, images: Tensor, labels: Tensor) -> Tensor:
        rows, columns = self._cosines
        found = (rows @ images @ columns.t()).flatten(1)  # (N, coefficients)
        if len(self._cells.bases):
            origins = torch.einsum("kdc,kc->kd", self._cells.bases, self._cells.origins)
            every = torch.einsum("nc,kdc->nkd", found, self._cells.bases)  # cheaper than a basis for each image
            offsets = every[torch.arange(len(labels), device=labels.device), labels] - origins[labels]
        else:
            offsets = found - self._cells.origins[labels]
        return offsets / self._cells.radii[labels, None]


def beside(
    kept: Sequence[KeptMoments], target: EmbeddingTarget, *, share: float, image_shape: ImageShape, device: torch.device
) -> tuple[LabelledRows, EmbeddingTarget]:
    """Return the rows of moments that go beside those of features, and the target to fit in both.

    Every release is a sum with Gaussian noise of known deviation, so what is most likely, given all of them, has the
    least sum of squared distances, each over its noise's variance. Rows of moments are scaled such that the noise on
    their means is that on the features' means; then the plain distance of both together is that sum.

    Args:
        kept: releases of the same records as the features, one row of norm at most 1 a record in each.
        target: of the features.
        share: the features' part of the precision of which each of `kept` has its own.
        image_shape: (channels, height, width) in pixels.
        device: that rows are computed on.
    """
    scales = [sqrt(release.share / share) for release in kept]
    maps = [MomentRows(image_shape, release.cells, release.order, device) for release in kept]
    classes, counts = len(target.means), target.counts.double()[:, None]
    sums = [release.sums.unflatten(0, (classes, -1)).flatten(1) for release in kept]
    means = [(scale * each / counts).float() for scale, each in zip(scales, sums, strict=True)]

    def rows(images: Tensor, labels: Tensor) -> Tensor:
        return torch.cat([scale * each(images, labels) for scale, each in zip(scales, maps, strict=True)], dim=1)

    return rows, EmbeddingTarget(torch.cat([target.means, *means], dim=1), target.counts, target.noise_std)
