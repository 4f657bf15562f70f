"""Generated images beside what each pixel says to the discriminator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle
from torch import Tensor

from fedgan.report.figure import FAINT, INK, new_figure, save_png

DIVERGING = "RdBu"  # its middle is white; red is negative
PAIR_GAP = 0.25  # of a tile's width, between one pair of tiles and the next
ROW_GAP = 0.32  # of a tile's width, for the score above each pair
TILE = 0.72  # inches
BAR = 0.13  # inches, the height of the scale of colours


def attribution_picture(images: Tensor, pixels: Tensor, *, labels: Tensor, scores: Tensor, path: Path) -> None:
    """Write a PNG with a row a class: each image, beside it what its pixels add to its score, above both the score.

    Blue pixels are positive, red ones negative, on one scale for the whole picture that the strongest hundredth of all
    pixels exceeds. Attributions of an image's channels are added up.

    Args:
        images: (N, C, H, W) in [-1, 1] with C of 1 or 3, N at least 1.
        pixels: (N, C, H, W), attributions in logits.
        labels: (N,) int64; classes have their rows in the order of their first image.
        scores: (N,), logits.
        path: the PNG to write, whole.
    """
    tiles = ((images.clamp(-1, 1) + 1) / 2).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()  # (N, H, W, 3)
    heat = pixels.sum(dim=1).numpy()  # (N, H, W)
    limit = float(np.quantile(np.abs(heat), 0.99)) or 1.0
    rows = {label: (labels == label).nonzero()[:, 0].tolist() for label in dict.fromkeys(labels.tolist())}
    height, columns = images.shape[2] / images.shape[3], max(map(len, rows.values()))
    step, pair = height + ROW_GAP, 2 + PAIR_GAP  # in units of a tile's width

    body = TILE * len(rows) * step
    figure = new_figure(max(5.0, TILE * columns * pair + 0.9), body + 0.75)
    axes, bar = figure.subplots(2, height_ratios=[body, BAR])
    for row, indices in enumerate(rows.values()):
        for column, index in enumerate(indices):
            left, top = column * pair, row * step
            axes.text(left, top - 0.05, f"score {scores[index]:+.2f}", size=7, color=INK, va="bottom")
            axes.imshow(tiles[index], extent=(left, left + 1, top + height, top), interpolation="nearest")
            shades = axes.imshow(
                heat[index],
                extent=(left + 1, left + 2, top + height, top),
                cmap=DIVERGING,
                norm=Normalize(-limit, limit),
                interpolation="nearest",
            )
            axes.add_patch(Rectangle((left + 1, top), 1, height, fill=False, edgecolor=FAINT, linewidth=0.8))
    _name_rows(axes, list(rows), height=height, size=(columns * pair - PAIR_GAP, len(rows) * step))
    figure.colorbar(shades, cax=bar, orientation="horizontal", extend="both")
    bar.set_xlabel("what a pixel adds to the score: red towards generated, blue towards real", size=9, color=INK)
    bar.tick_params(labelsize=8)
    save_png(figure, path)


def _name_rows(axes: Axes, labels: list[int], *, height: float, size: tuple[float, float]) -> None:
    """Write each row's class left of it; `size` is (width, height) of all rows, `height` that of a tile."""
    step = size[1] / len(labels)
    axes.set(xlim=(-0.02, size[0] + 0.02), ylim=(size[1] - ROW_GAP + 0.05, -ROW_GAP), aspect="equal")
    axes.set_yticks([row * step + height / 2 for row in range(len(labels))], [f"class {label}" for label in labels])
    axes.set_xticks([])
    axes.tick_params(length=0, labelsize=9, labelcolor=INK)
    axes.spines[:].set_visible(False)
