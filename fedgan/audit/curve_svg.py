"""A picture of epsilon by round as SVG text, for pages that load nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 704, 12, 216
_TICKS = 4


def curve_svg(epsilons: Mapping[str, Sequence[float]]) -> str:
    """Return the picture: equal curves once and in grey, the largest epsilon over all clients as one strong line.

    Infinite values are left out. Without a finite value there is a sentence instead.

    Args:
        epsilons: values >= 0 by client, all sequences of one length or empty.
    """
    curves = {tuple(values) for values in epsilons.values() if values}
    finite = [value for curve in curves for value in curve if math.isfinite(value)]
    if not finite:
        return "<p>There is no finite epsilon to draw.</p>"
    top = max(finite) * 1.05 or 1.0
    largest = tuple(max(values) for values in zip(*curves, strict=True))
    lines = [_line(curve, top, "#9aa7b4", 1.0) for curve in sorted(curves)]
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="epsilon by round">'
        + _axes(top, len(largest))
        + "".join(lines)
        + _line(largest, top, "#1f5fa8", 2.5)
        + "</svg>"
    )


def _axes(top: float, points: int) -> str:
    parts = []
    for tick in range(_TICKS + 1):
        value = top * tick / _TICKS
        y = _y(value, top)
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_RIGHT}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    for number in sorted({round((points - 1) * part / 5) for part in range(6)}):
        x = _x(number, points)
        parts.append(f'<text x="{x:.1f}" y="{_BOTTOM + 18}" text-anchor="middle">{number}</text>')
    middle = (_LEFT + _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">charged rounds (0 is the first)</text>')
    return "".join(parts)


def _line(values: Sequence[float], top: float, color: str, width: float) -> str:
    places = [(_x(number, len(values)), _y(value, top)) for number, value in enumerate(values) if math.isfinite(value)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dot = ""
    if len(places) == 1:
        dot = f'<circle cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="3" fill="{color}"/>'
    return f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="{width}"/>{dot}'


def _x(number: int, points: int) -> float:
    return _LEFT + (_RIGHT - _LEFT) * number / max(1, points - 1)


def _y(value: float, top: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * value / top
