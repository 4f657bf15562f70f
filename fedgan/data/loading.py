"""Loads a source by name, in the size and channels asked for."""

from __future__ import annotations

from pathlib import Path

from fedgan.data.dataset import DataSplit
from fedgan.data.image_format import ImageFormat
from fedgan.data.registry import DATASETS
from fedgan.errors import bad_value

SMALLEST, LARGEST = 8, 64
"""Sides in pixels that the models are built for."""


def load_data(name: str, *, root: Path | None, image_size: int, channels: int) -> DataSplit:
    """Load the source `name`.

    Images are cropped to their central square, converted and resized; no statistic of the records enters.

    Args:
        name: a name in `DATASETS`.
        root: folder or file that holds the data, `~` allowed; sources that ship with a package take None and ignore it.
        image_size: side in pixels, 8 to 64; 0 is the source's own.
        channels: 1 for grey, 3 for colour, 0 for the source's own.

    Raises:
        UsageError: the name is unknown, the data is missing or damaged, or the images are not 8 to 64 pixels a side.
    """
    accepted = f"{SMALLEST} to {LARGEST} pixels, or 0 for the source's own size"
    if image_size != 0 and not SMALLEST <= image_size <= LARGEST:
        raise bad_value("data.image_size", image_size, accepted)
    if channels not in (0, 1, 3):
        raise bad_value("data.channels", channels, "1 (grey), 3 (colour) or 0 for the source's own")
    split = DATASETS[name](root.expanduser() if root else None, ImageFormat(image_size, channels))
    own_size = split.train.image_shape[-1]
    if not SMALLEST <= own_size <= LARGEST:
        raise bad_value(
            "data.image_size", 0, f"{SMALLEST} to {LARGEST} pixels: the images' own size is {own_size} pixels"
        )
    return split
