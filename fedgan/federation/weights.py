"""How much a client's sums count: by its records, and never more than so many times the median client's.

A client says itself how many records it holds. Averages of networks do not read that number; sums over records (the
warm start's embeddings, the gradients of `fedsgd`) do, so there a claim without a limit could drown everybody else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from statistics import median_low

import numpy as np

from fedgan.federation.requests import Release


def counted(records: Sequence[int], largest_weight: float) -> list[int]:
    """Return with how many records each client counts: its own, or `largest_weight` times the lower median if less.

    The lower median is the claim of an honest client, or below one, as long as less than half of them lie.
    """
    if not records:
        return []
    most = max(1.0, min(largest_weight * median_low(records), float(max(records))))
    return [min(number, int(most)) for number in records]


@dataclass(frozen=True)
class Weights:
    """What the clients of a run said of their sizes, and how far they are believed.

    Attributes:
        records: by client, as claimed; a client that is not in it counts as it is.
        largest: times the lower median of the claims, >= 1.
    """

    records: Mapping[str, int] = field(default_factory=dict)
    largest: float = inf

    def counted(self) -> dict[str, int]:
        """Return with how many records each client counts."""
        return dict(zip(self.records, counted(list(self.records.values()), self.largest), strict=True))

    def apply(self, release: Release) -> Release:
        """Return `release`, a sum over records, scaled down to the records that its client counts with.

        Scaling comes after the noise, or with trust "aggregator" lowers what one record can do to the total: neither
        costs privacy.
        """
        claimed = self.records.get(release.client, 0)
        if claimed == 0 or (factor := self.counted()[release.client] / claimed) == 1:
            return release
        arrays = {name: array * np.float32(factor) for name, array in release.arrays.items()}
        return replace(release, arrays=arrays, noise_std=release.noise_std * factor)
