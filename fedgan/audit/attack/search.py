"""The largest parameter that the data refute, where refuting a claim refutes every smaller one."""

from __future__ import annotations

from collections.abc import Callable

_LARGEST = 64.0  # e^64 is beyond what any number of canaries can show
_WIDTH = 1e-6


def largest_refuted(refuted: Callable[[float], bool]) -> float:
    """Return the largest x in [0, 64], from below and to within 1e-6, with `refuted(x)`; 0.0 if there is none."""
    if not refuted(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while high < _LARGEST and refuted(high):
        low, high = high, 2 * high
    while high - low > _WIDTH:
        middle = (low + high) / 2
        if refuted(middle):
            low = middle
        else:
            high = middle
    return low
