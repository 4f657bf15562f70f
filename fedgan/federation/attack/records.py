"""A client's records and the canaries among them, each in or out by a coin of its own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedgan.audit.attack.guesses import Membership
from fedgan.data.dataset import ImageDataset
from fedgan.federation.attack.images import canary_images
from fedgan.seeding import derive_seed


@dataclass(frozen=True, eq=False)
class CanaryRecords(ImageDataset):
    """Records of which some are never delivered, and some stand for a direction of the discriminator's gradient.

    Every row is sampled like any other, so a coin changes nothing but whether its row is there: adding or removing one
    record, at a sampling rate that no coin moves.
    """

    included: Tensor = field(kw_only=True)
    """(N,) bool: the rows that are there."""
    directions: Tensor = field(kw_only=True)
    """(N,) int64: i for the canary of direction i = 1, 2, …; 0 for a record with an image of its own."""

    def batch(self, indices: Tensor | npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return images and codes of those rows at `indices` that are there.

        A code is label + num_classes * direction: the label itself for a record with an image.
        """
        index = torch.as_tensor(indices)
        index = index[self.included[index]]
        images, labels = super().batch(index)
        return images, labels + self.num_classes * self.directions[index]

    def without_directions(self) -> CanaryRecords:
        """Return the same rows with those that stand for a direction never delivered."""
        return replace(self, included=self.included & (self.directions == 0))


@dataclass(frozen=True, eq=False)
class ClientCanaries:
    """One client's part of an audit.

    Attributes:
        records: what its vault holds.
        public_records: the number of records that it describes itself with: its own.
        gradient, input, sample: rows (m,) int64 of the canaries of each kind, none where a kind is not asked for.
    """

    records: CanaryRecords
    public_records: int
    gradient: npt.NDArray[np.int64]
    input: npt.NDArray[np.int64]
    sample: npt.NDArray[np.int64]

    def coins(self, rows: npt.NDArray[np.int64]) -> Membership:
        """Return (m,) which of `rows` are in."""
        coins: Membership = self.records.included.numpy()[rows]
        return coins

    def images(self, rows: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return images (m, C, H, W) in [-1, 1] and labels (m,) of `rows`, whether in or out."""
        return ImageDataset(self.records.images, self.records.labels, self.records.num_classes).batch(rows)


def place_canaries(
    own: ImageDataset, public: ImageDataset, *, directions: int, images: int, members: int, seed: int
) -> ClientCanaries:
    """Append canaries to a client's `own` records, choose `members` of these, and flip all coins.

    Args:
        own: the client's records.
        public: images that are nobody's records, for mislabelled ones.
        directions: gradient canaries: rows without an image, one a direction.
        images: input canaries: blank, random and mislabelled images in turn.
        members: own records whose membership is decided by a coin; at most half of them.
        seed: of places, pictures and coins; used for nothing else.
    """
    rng = np.random.default_rng(derive_seed(seed, "canaries"))
    chosen = np.sort(rng.choice(len(own), size=min(members, len(own) // 2), replace=False)).astype(np.int64)
    pictures = canary_images(own, public, images, rng)
    blank = torch.zeros((directions, *own.images.shape[1:]), dtype=own.images.dtype)
    rows = len(own) + images + directions
    ends = np.cumsum([len(own), images, directions])
    coined = np.concatenate([chosen, np.arange(len(own), rows)])
    included = torch.ones(rows, dtype=torch.bool)
    included[torch.from_numpy(coined)] = torch.from_numpy(rng.random(len(coined)) < 0.5)
    numbers = torch.zeros(rows, dtype=torch.int64)
    numbers[ends[1] :] = torch.arange(1, directions + 1)
    records = CanaryRecords(
        images=torch.cat([own.images, pictures.images, blank]),
        labels=torch.cat([own.labels, pictures.labels, torch.zeros(directions, dtype=torch.int64)]),
        num_classes=own.num_classes,
        included=included,
        directions=numbers,
    )
    return ClientCanaries(records, len(own), np.arange(ends[1], ends[2]), np.arange(ends[0], ends[1]), chosen)
