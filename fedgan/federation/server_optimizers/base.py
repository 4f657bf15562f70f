"""What a server optimiser is: from a round's update of one array to the step that the server takes instead.

Source: Reddi et al. 2021, arXiv:2003.00295, algorithms 1 and 2: the clients' aggregated change is a pseudo-gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedgan.registry import Registry

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Constants:
    """What server optimisers are set by.

    Attributes:
        learning_rate: eta > 0, in units of the update for "momentum", otherwise of the weights.
        beta1: decay of the first moment, in [0, 1).
        beta2: decay of the second moment, in [0, 1).
        tau: how large an update has to be to count in full, > 0; the second moments begin at its square.
    """

    learning_rate: float
    beta1: float
    beta2: float
    tau: float


Rule = Callable[[Vector, Vector, Vector, Constants], tuple[Vector, Vector, Vector]]
"""Maps an update, its first and second moments and the constants to the step and the new moments, all of one shape."""

SERVER_OPTIMIZERS: Registry[Rule | None] = Registry("federation.server_optimizer", __package__)
"""Rules by name; None takes the update as it is."""


def adaptive_step(update: Vector, first: Vector, second: Vector, constants: Constants) -> tuple[Vector, Vector, Vector]:
    """Return eta m / (sqrt(v) + tau), m and v, where m is the new first moment and v = `second`, new already."""
    first = constants.beta1 * first + (1 - constants.beta1) * update
    return constants.learning_rate * first / (np.sqrt(second) + constants.tau), first, second
