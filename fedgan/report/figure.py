"""Figures without a display and without pyplot's global state."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fedgan.files import write_bytes

INK = "#333333"
FAINT = "#d9d9d9"
ACCENT = "#1f5fa8"


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of `width` x `height` inches with a canvas that draws into memory."""
    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Write `figure` to the PNG `path`, whole; equal figures give equal bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_bytes(path, buffer.getvalue())
