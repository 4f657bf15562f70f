"""Reads image files, one after the other, straight into the shape that was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from fedgan.data.image_format import ImageFormat
from fedgan.errors import UsageError, bad_value

GREY_MODES = ("1", "L", "LA", "La")

LONGEST_RUN = 256
"""Images converted together: one by one, torch's overhead would cost more than the arithmetic."""


def read_images(files: Sequence[tuple[str, Path | bytes]], image_format: ImageFormat) -> Tensor:
    """Decode image files and bring each to `image_format`; memory holds few images in full size at a time.

    Args:
        files: for each image a name for error messages, and its path or its content. Not empty.

    Returns:
        (N, C, H, W) uint8.

    Raises:
        UsageError: a file cannot be decoded, or the images differ in size or channels and the format leaves these open.
    """
    images = torch.empty(0, dtype=torch.uint8)
    filled = 0
    for name, run in _runs(files):
        converted = image_format.apply(run)
        if filled == 0:
            images = torch.empty((len(files), *converted.shape[1:]), dtype=torch.uint8)
        if converted.shape[1] != images.shape[1]:
            raise bad_value("data.channels", 0, f"1 or 3, since grey and colour are mixed ({files[0][0]} and {name})")
        if converted.shape[1:] != images.shape[1:]:
            raise bad_value("data.image_size", 0, f"8 to 64, since images differ in size ({files[0][0]} and {name})")
        images[filled : filled + len(converted)] = converted
        filled += len(converted)
    return images


def _runs(files: Sequence[tuple[str, Path | bytes]]) -> Iterator[tuple[str, Tensor]]:
    """Decode the files and yield consecutive images of one shape as (B, C, H, W), with the name of the first."""
    first, run = "", list[Tensor]()
    for name, content in files:
        image = _decode(name, content)
        if run and (image.shape != run[0].shape or len(run) == LONGEST_RUN):
            yield first, torch.stack(run)
            run = []
        if not run:
            first = name
        run.append(image)
    if run:
        yield first, torch.stack(run)


def _decode(name: str, content: Path | bytes) -> Tensor:
    """Return one image as (C, H, W) uint8, C being 1 for grey and 3 otherwise; transparency is dropped."""
    try:
        with Image.open(BytesIO(content) if isinstance(content, bytes) else content) as file:
            image = ImageOps.exif_transpose(file)
            image.load()
    # Pillow reports damage inside a PNG as a SyntaxError.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(f"data.root: {name} is not an image that can be read: {error}") from error
    if image.mode in ("I", "F"):
        raise UsageError(f"data.root: {name} has pixels of 32 bits, whose range is unknown: convert it to 8 or 16 bits")
    if image.mode.startswith("I;16"):
        # 65535 / 257 = 255: the range is that of the format, not of the image.
        pixels = np.rint(np.asarray(image) / 257).astype(np.uint8)
    else:
        pixels = np.array(image.convert("L" if image.mode in GREY_MODES else "RGB"))
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1)
