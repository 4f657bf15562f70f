"""An aggregation rule turns what several clients sent into one of the same kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedgan.federation.requests import Arrays
from fedgan.registry import Registry


@dataclass(frozen=True)
class Assumptions:
    """What a rule assumes of the clients, fixed in advance and public; each rule reads its own.

    Attributes:
        trimmed_part: part of the values that `trimmed_mean` leaves out at each end, in (0, 0.5).
        faulty_clients: how many of a round's clients `krum` has to withstand, at least 0.
        krum_kept: how many clients `krum` keeps and averages, at least 1.
    """

    trimmed_part: float = 0.2
    faulty_clients: int = 1
    krum_kept: int = 1


USUAL = Assumptions()
"""The defaults."""


@dataclass(frozen=True)
class Aggregation:
    """A rule.

    Attributes:
        merge: maps the arrays of at least `least` clients, alike in names and shapes and in the clients' order, to
            arrays of those names and shapes.
        least: fewest clients with which the rule keeps what it promises.
        why: the reason for `least`, in words.
    """

    merge: Callable[[Sequence[Arrays], Assumptions], Arrays]
    least: Callable[[Assumptions], int] = lambda assumptions: 1
    why: str = "there is nothing to merge without a client"


AGGREGATIONS: Registry[Aggregation] = Registry("federation.aggregation", __package__)


def stacked(clients: Sequence[Arrays], name: str) -> NDArray[np.float64]:
    """Return the clients' arrays called `name`, one after the other along a new first axis, in float64."""
    return np.stack([arrays[name] for arrays in clients]).astype(np.float64)
