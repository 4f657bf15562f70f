"""Who holds what: records of each client by class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fedgan.report.figure import ACCENT, INK, new_figure, save_png

NUMBERED_CLIENTS = 12  # up to here and with as few classes, every cell shows its number
NUMBERED_CLASSES = 20
# From a visible blue on: one record must not look like none.
BLUES = LinearSegmentedColormap.from_list("blues", colormaps["Blues"](np.linspace(0.15, 1, 256)))


def partition_picture(counts: np.ndarray, path: Path) -> None:
    """Write a PNG with a row a client, a column a class, and each client's total beside it.

    Darker means more records, on a logarithmic scale; white means none. For simulations, where whoever draws the
    picture owns all the records: in a deployment a client's class counts are private and nobody has this table.

    Args:
        counts: (clients, classes), records that each client holds of each class, >= 0.
        path: the PNG to write, whole.
    """
    clients, classes = counts.shape
    figure = new_figure(*_size(clients, classes))
    cells, totals = figure.subplots(1, 2, sharey=True, width_ratios=[4, 1])
    _draw_cells(figure, cells, counts)
    _draw_totals(totals, counts.sum(axis=1))
    cells.set_title(f"{int(counts.sum()):,} records, {clients} clients, {classes} classes", loc="left", color=INK)
    save_png(figure, path)


def _size(clients: int, classes: int) -> tuple[float, float]:
    """Return the width and height in inches: rows of a readable height for few clients, a bounded sheet for many."""
    row = float(np.clip(6 / clients, 0.09, 0.42))
    return float(np.clip(3.5 + 0.45 * classes, 6.5, 10)), float(np.clip(1.5 + row * clients, 2.6, 14))


def _draw_cells(figure: Figure, axes: Axes, counts: np.ndarray) -> None:
    clients, classes = counts.shape
    top = max(2, counts.max())
    image = axes.imshow(
        np.ma.masked_equal(counts, 0), cmap=BLUES, norm=LogNorm(1, top), aspect="auto", interpolation="nearest"
    )
    axes.set(xlabel="class", ylabel="client")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(20, integer=True, steps=[1, 2, 5, 10]))
    axes.set(xlim=(-0.5, classes - 0.5), ylim=(clients - 0.5, -0.5))
    if clients <= NUMBERED_CLIENTS and classes <= NUMBERED_CLASSES:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                dark = np.log(count) > 0.5 * np.log(top)
                axes.text(column, row, f"{count:d}", ha="center", va="center", color="white" if dark else INK, size=8)
    else:
        bar = figure.colorbar(image, ax=axes, location="bottom", fraction=0.03, aspect=40)
        bar.set_label("records (white: none)")
        bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _draw_totals(axes: Axes, totals: np.ndarray) -> None:
    axes.barh(np.arange(len(totals)), totals, height=0.75, color=ACCENT)
    axes.set(xlabel="records", xlim=(0, 1.3 * totals.max()))
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", left=False, labelleft=False)
    if len(totals) <= NUMBERED_CLIENTS:
        for row, total in enumerate(totals):
            axes.annotate(
                f"{total:,d}", (total, row), (4, 0), textcoords="offset points", va="center", color=INK, size=8
            )
