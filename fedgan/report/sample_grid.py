"""A grid of sample images, one row a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from fedgan.files import write_bytes

GAP = 6  # pixels between tiles and around them
READABLE = 56  # pixels: the shorter side of a tile is enlarged to at least this
FONT_SIZE = 18
PAPER = (84, 96, 116)  # neither black nor white, so that the edge of either kind of image shows
INK = (255, 255, 255)


@dataclass(frozen=True)
class GridGeometry:
    """Where each tile of a grid lies; all lengths in pixels of the picture.

    Attributes:
        rows: number of rows, one a class.
        columns: images a row.
        tile: (height, width) of one enlarged image.
        margin: room for the row labels at the left.
    """

    rows: int
    columns: int
    tile: tuple[int, int]
    margin: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture."""
        return GAP + self.rows * (self.tile[0] + GAP), self.margin + GAP + self.columns * (self.tile[1] + GAP)

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Return (top, left) of the tile in `row` and `column`."""
        return GAP + row * (self.tile[0] + GAP), self.margin + GAP + column * (self.tile[1] + GAP)


def sample_grid(
    images: Tensor,
    labels: Tensor,
    num_classes: int,
    path: Path,
    *,
    columns: int = 10,
    max_rows: int = 40,
    class_names: Sequence[str] | None = None,
) -> GridGeometry:
    """Write a PNG with the first `columns` images of each class in a row, enlarged without smoothing.

    A class with fewer images leaves the rest of its row blank. The file is written whole.

    Args:
        images: (N, C, H, W) in [-1, 1] with C of 1 or 3; values outside are clipped.
        labels: (N,) in [0, num_classes).
        num_classes: number of classes.
        path: the PNG to write.
        columns: images a row.
        max_rows: rows to draw at most; of more classes the first are drawn.
        class_names: a text for each class; its number if None.

    Returns:
        Where the tiles lie.
    """
    rows = min(num_classes, max_rows)
    names = list(class_names or map(str, range(num_classes)))[:rows]
    font = ImageFont.load_default(FONT_SIZE)
    height, width = images.shape[-2:]
    scale = max(1, ceil(READABLE / min(height, width)))
    margin = GAP + ceil(max(font.getlength(name) for name in names)) + GAP
    geometry = GridGeometry(rows, columns, (height * scale, width * scale), margin)

    canvas = np.full((*geometry.size, 3), PAPER, dtype=np.uint8)
    for row in range(rows):
        for column, pixels in enumerate(_to_rgb(images[labels == row][:columns])):
            top, left = geometry.corner(row, column)
            tile = pixels.repeat(scale, axis=0).repeat(scale, axis=1)  # nearest neighbour
            canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    write_bytes(path, _png(_label_rows(Image.fromarray(canvas), names, font, geometry)))
    return geometry


def _to_rgb(images: Tensor) -> np.ndarray:
    """Return images (N, C, H, W) in [-1, 1] as (N, H, W, 3) uint8."""
    bytes_ = ((images.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().byte()
    return bytes_.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()


def _label_rows(
    picture: Image.Image,
    names: Sequence[str],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    geometry: GridGeometry,
) -> Image.Image:
    """Write each row's name left of it, right-aligned and vertically centred."""
    draw = ImageDraw.Draw(picture)
    for row, name in enumerate(names):
        top, left = geometry.corner(row, 0)
        draw.text((left - GAP - GAP // 2, top + geometry.tile[0] / 2), name, fill=INK, font=font, anchor="rm")
    return picture


def _png(picture: Image.Image) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
