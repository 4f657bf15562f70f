"""Which classes are taken for which: two confusion matrices beside each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fedgan.evaluation.classes import ClassAnalysis
from fedgan.report.figure import INK, new_figure, save_png
from fedgan.report.partition_picture import BLUES

NUMBERED_CLASSES = 12  # up to here every cell shows its per cent


def confusion_picture(analysis: ClassAnalysis, path: Path) -> None:
    """Write a PNG with what was generated as which class on the left and what became of real images on the right.

    Each row adds up to 1 and is a class; a perfect generator has dark diagonals.

    Args:
        analysis: of K classes.
        path: the PNG to write, whole.
    """
    classes = len(analysis.confusion)
    side = float(np.clip(1.2 + 0.34 * classes, 3.2, 7))
    figure = new_figure(2 * side, side + 0.4)
    left, right = figure.subplots(1, 2)
    _draw(left, analysis.confusion)
    left.set_title("generated images, seen by a CNN trained on real ones", loc="left", fontsize=9, color=INK)
    left.set(xlabel="class seen", ylabel="class asked for")
    _draw(right, analysis.mistaken)
    right.set_title("real test images, seen by a CNN trained on generated ones", loc="left", fontsize=9, color=INK)
    right.set(xlabel="class seen", ylabel="class")
    save_png(figure, path)


def _draw(axes: Axes, counts: list[list[int]]) -> None:
    table = np.array(counts, dtype=float)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(np.ma.masked_equal(shares, 0), cmap=BLUES, vmin=0, vmax=1, interpolation="nearest")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(20, integer=True, steps=[1, 2, 5, 10]))
    if len(shares) <= NUMBERED_CLASSES:
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.005:
                ink = "white" if share > 0.5 else INK
                axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=ink, size=7)
