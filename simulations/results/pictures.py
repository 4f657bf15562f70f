"""Samples of a run, samples of several runs side by side, and epsilon against accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from PIL import Image

from fedgan.data import ImageDataset
from fedgan.files import write_bytes
from fedgan.report.figure import ACCENT, FAINT, INK, new_figure, save_png
from simulations.results.published import PUBLISHED
from simulations.results.record import Record, record_path
from simulations.results.row import Row

COLUMNS = 10
MOST_CLASSES = 10
SAMPLES_A_LINE = 4


def draw_samples(images: ImageDataset, path: Path) -> None:
    """Write a PNG with the first ten images of each of the first ten classes, a class a row, pixel by pixel."""
    channels, height, width = images.image_shape
    classes = min(images.num_classes, MOST_CLASSES)
    sheet = np.full((classes * (height + 1), COLUMNS * (width + 1), channels), 128, dtype=np.uint8)
    for label in range(classes):
        chosen = (images.labels == label).nonzero()[:COLUMNS, 0]
        pixels = ((images.batch(chosen)[0] + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        for column, tile in enumerate(pixels):
            top, left = label * (height + 1), column * (width + 1)
            sheet[top : top + height, left : left + width] = tile
    buffer = BytesIO()
    Image.fromarray(sheet.squeeze()).save(buffer, format="PNG", optimize=True)
    write_bytes(path, buffer.getvalue())


def draw_side_by_side(rows: Sequence[Row], records: Mapping[str, Sequence[Record]], folder: Path, path: Path) -> bool:
    """Write the samples of every row that was run, of its first seed, beside each other; False if there are none."""
    there = [(row, records[row.name][0]) for row in rows if records.get(row.name)]
    if not there:
        return False
    lines = -(-len(there) // SAMPLES_A_LINE)
    columns = min(len(there), SAMPLES_A_LINE)
    figure = new_figure(2.6 * columns, 2.85 * lines)
    cells = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes in cells:
        axes.axis("off")
    for axes, (row, record) in zip(cells, there, strict=False):
        sheet = Image.open(record_path(folder, row.name, record.seed).with_suffix(".png"))
        axes.imshow(np.asarray(sheet), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(f"{row.title}\nCNN {record.metrics['cnn']:.3f}", fontsize=7, color=INK)
    save_png(figure, path)
    return True


def draw_curves(curves: Mapping[str, Sequence[Row]], records: Mapping[str, Sequence[Record]], path: Path) -> None:
    """Write accuracy against epsilon, a panel a data set: each published method, and ours where it was run."""
    figure = new_figure(5.2 * len(curves), 4.6)
    for axes, (data, rows) in zip(figure.subplots(1, len(curves), squeeze=False).flat, curves.items(), strict=True):
        _draw_published(axes, data)
        _draw_ours(axes, [(row, records[row.name]) for row in rows if records.get(row.name)])
        axes.set_title(data, loc="left", fontsize=10, color=INK)
        axes.set(xscale="log", xlabel="epsilon, delta about 1e-5", ylabel="accuracy of a CNN on real test images")
        axes.xaxis.set_major_locator(FixedLocator([0.2, 1, 10]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.grid(axis="y", color=FAINT, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3)
    save_png(figure, path)


def _draw_published(axes: Axes, data: str) -> None:
    methods = dict.fromkeys(one.method for one in PUBLISHED.values() if one.data == data)
    for marker, method in zip("s^vD<>p*hX", methods, strict=False):
        points = sorted(
            (one.epsilon, one.accuracy) for one in PUBLISHED.values() if (one.data, one.method) == (data, method)
        )
        axes.plot(*zip(*points, strict=True), marker=marker, markersize=4, linewidth=0.9, alpha=0.75, label=method)


def _draw_ours(axes: Axes, found: Sequence[tuple[Row, Sequence[Record]]]) -> None:
    points = sorted(
        (record.epsilon, record.metrics["cnn"])
        for _, records in found
        for record in records
        if record.epsilon is not None
    )
    if points:
        axes.plot(*zip(*points, strict=True), "o", color=ACCENT, markersize=4, alpha=0.6)
        means = sorted(
            (
                float(np.mean([record.epsilon for record in records if record.epsilon is not None])),
                float(np.mean([record.metrics["cnn"] for record in records])),
            )
            for _, records in found
        )
        axes.plot(*zip(*means, strict=True), color=ACCENT, linewidth=2.2, label="fedgan, 1 client (every run a point)")
