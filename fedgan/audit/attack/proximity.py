"""Black-box scores: how near the generated samples lie to a record. They need samples, no network.

Rows are flattened images in [-1, 1]: `records` (M, D), `generated` (N, D), `reference` (R, D), which are public and
were not trained on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

Rows = npt.NDArray[np.float64]

_NEIGHBOURS = 5
_CHUNK = 256


def nearest_neighbour_scores(records: Rows, generated: Rows) -> Rows:
    """Return minus the distance to the nearest generated sample (Chen et al. 2020, arXiv:1909.03935), shape (M,)."""
    return -_distances(records, generated, 1)


def density_ratio_scores(records: Rows, generated: Rows, reference: Rows) -> Rows:
    """Return the log of the generator's density over that of the reference, up to scale and shift, shape (M,).

    The ratio corrects for records that any sample would be near to (van Breugel et al. 2023, arXiv:2302.12580).
    Densities are those of nearest neighbours: proportional to distance^-D to the fifth.
    """
    own = _distances(records, generated, min(_NEIGHBOURS, len(generated)))
    public = _distances(records, reference, min(_NEIGHBOURS, len(reference)))
    return np.log(public) - np.log(own)


def _distances(records: Rows, others: Rows, neighbour: int) -> Rows:
    """Return the distance (M,) of each record to its `neighbour`-th nearest of `others`, at least 1e-12."""
    parts = [
        np.partition(cdist(records[start : start + _CHUNK], others), neighbour - 1, axis=1)[:, neighbour - 1]
        for start in range(0, len(records), _CHUNK)
    ]
    distances: Rows = np.maximum(np.concatenate(parts), 1e-12)
    return distances
