"""An aggregation rule turns the clients' arrays of one name into one array."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fedgan.registry import Registry

Aggregation = Callable[[Sequence[NDArray[np.float32]]], NDArray[np.float32]]
"""Maps the arrays of at least one client, all of one shape, in the clients' order, to an array of that shape."""

AGGREGATIONS: Registry[Aggregation] = Registry("federation.aggregation", __package__)
