"""Sites filled with their parts of a public data set, to try a federation on one machine."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO

import numpy as np
import numpy.typing as npt
from torch import Tensor

from fedgan.data import ImageDataset
from fedgan.federation.daemon.site import SiteFolder, load_site
from fedgan.federation.sites import Sites
from fedgan.files import write_bytes


def fill_demo(sites: Sites, folders: Iterable[SiteFolder]) -> None:
    """Write into each of `folders` the records that the partition gives to its client."""
    for folder in folders:
        train = sites.records_of(int(load_site(folder).client))
        write_bytes(folder.path / "data.npz", as_npz(train, sites.data.test), mode=0o600)


def as_npz(train: ImageDataset, test: ImageDataset) -> bytes:
    """Return a file of the source `npz` that holds exactly these records."""
    buffer = BytesIO()
    np.savez_compressed(
        buffer,
        train_images=_stored(train.images),
        train_labels=train.labels.numpy(),
        test_images=_stored(test.images),
        test_labels=test.labels.numpy(),
    )
    return buffer.getvalue()


def _stored(images: Tensor) -> npt.NDArray[np.generic]:
    """Return images (N, C, H, W) in the layout that the source `npz` reads: bytes have their channels last."""
    array = images.numpy()
    return array.transpose(0, 2, 3, 1) if array.dtype == np.uint8 else array
