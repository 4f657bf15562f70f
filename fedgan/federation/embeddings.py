"""The warm start's settings, and the sum of the clients' embeddings as they come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import hypot
from typing import Literal

import torch
from torch import Tensor

from fedgan.federation.reports import RoundReport, heads_of
from fedgan.federation.requests import Release


@dataclass(frozen=True)
class WarmStart:
    """How the generator is fitted before the first round."""

    features: int
    steps: int
    batch_size: int
    learning_rate: float
    class_counts: Literal["released", "uniform"]


@dataclass
class Embeddings:
    """The sum of the embeddings so far."""

    sums: Tensor  # (num_classes, dimension) float64
    report: RoundReport
    records: int = 0
    noise_std: float = 0.0

    def add(self, releases: Sequence[Release], refused: dict[str, str], records: dict[str, int]) -> None:
        """Add `releases`, whose clients hold `records`; `refused` says why other clients sent none."""
        for release in releases:
            self.sums += torch.from_numpy(release.arrays["embedding"])
            self.records += records[release.client]
            self.noise_std = hypot(self.noise_std, release.noise_std)
        self.report = replace(
            self.report,
            clients=[*self.report.clients, *(release.client for release in releases)],
            refused={**self.report.refused, **refused},
            heads={**self.report.heads, **heads_of(releases)},
        )
