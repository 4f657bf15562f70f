"""Feature skew: the same kind of records at every client, seen in a way that differs from client to client."""

from __future__ import annotations

import torch

from fedgan.data.dataset import ImageDataset
from fedgan.data.registry import SKEWS
from fedgan.seeding import derive_seed


def skewed(records: ImageDataset, *, skew: str, strength: float, client: int, clients: int, seed: int) -> ImageDataset:
    """Return `records` as client number `client` of `clients` sees them; the same arguments give the same images.

    Clients are spread evenly between the two ends of a skew (Li et al. 2022, arXiv:2102.02079, section 4.2). It is an
    experiment's design and counts as public. Labels, owners, shape and dtype stay as they are.

    Args:
        skew: a name in `SKEWS`.
        strength: how far the ends are apart, in [0, 1]; what 1 means is the skew's own.
        seed: the experiment's seed.
    """
    images, labels = records.batch(torch.arange(len(records)))
    position = client / max(1, clients - 1)
    rng = torch.Generator().manual_seed(derive_seed(seed, "skew", skew, client))
    images = SKEWS[skew](images, position, strength, rng).clamp(-1, 1)
    if records.images.dtype == torch.uint8:
        images = ((images + 1) * 127.5).round().to(torch.uint8)
    return ImageDataset(images, labels, records.num_classes, records.owners)
