"""The warm start's settings, and the sum of the clients' embeddings as they come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import hypot, sqrt
from typing import Literal

import torch
from torch import Tensor

from fedgan.federation.compression import Compression, rounding_std
from fedgan.federation.reports import RoundReport, heads_of
from fedgan.federation.requests import Release
from fedgan.models.families.mixture import SHADING
from fedgan.privacy.noise import NoiseSource, add_noise
from fedgan.training.warm_start import EmbeddingTarget, estimate_target


@dataclass(frozen=True)
class WarmStart:
    """How the generator is fitted before the first round.

    Attributes:
        features: dimension asked of the feature map.
        family: of the features.
        steps, batch_size, learning_rate: of the fit.
        class_counts: whether class counts are read from the release.
        noise_std: of the noise that the server adds to the total, in units of one record's (or one client's) largest
            contribution; 0 where the clients have added theirs.
        whole_clients: whether a client's sum counts as one contribution of norm at most 1 (level "client").
        shares: part of the precision 1/noise_std^2 that each release has.
        mixture: whether the releases are local moments for a mixture generator, and not mean embeddings.
        shading: laid over what a mixture makes; see `MixtureGenerator`.
        refined: whether a last release is of features, of `family`, which the mixture is fitted to.
    """

    features: int
    steps: int
    batch_size: int
    learning_rate: float
    class_counts: Literal["released", "uniform"]
    noise_std: float = 0.0
    whole_clients: bool = False
    shares: tuple[float, ...] = (1.0,)
    mixture: bool = False
    refined: bool = False
    family: str = "windows"
    shading: float = SHADING

    def stage_noise(self, stage: int) -> float:
        """Return the standard deviation of the noise that the server adds to the total of release `stage`."""
        return self.noise_std / sqrt(self.shares[stage])

    @property
    def fitted(self) -> bool:
        """Whether the last release is one of features, which a generator is fitted to."""
        return self.refined or not self.mixture


@dataclass
class Embeddings:
    """The sum of the embeddings so far.

    `noise_std` is of all noise in it, with what `compression` rounded of releases that are private when they come.
    """

    sums: Tensor  # (cells, dimension) float64
    compression: Compression = "none"
    report: RoundReport = field(default_factory=lambda: RoundReport(0, []))
    contributions: int = 0
    noise_std: float = 0.0

    def add(
        self, releases: Sequence[Release], refused: dict[str, str], records: Mapping[str, int], *, whole_clients: bool
    ) -> None:
        """Add `releases`, whose clients hold `records`; `refused` says why other clients sent none."""
        for release in releases:
            embedding = torch.from_numpy(release.arrays["embedding"]).double()
            if whole_clients:
                embedding /= max(1.0, float(embedding.norm()))
            self.sums += embedding
            self.contributions += 1 if whole_clients else records[release.client]
            self.noise_std = hypot(self.noise_std, release.noise_std)
            if release.noise_std > 0:  # of a sum that is not private yet, its rounding is not either
                self.noise_std = hypot(self.noise_std, rounding_std(embedding.float().numpy(), self.compression))
        self.report = replace(
            self.report,
            clients=[*self.report.clients, *(release.client for release in releases)],
            refused={**self.report.refused, **refused},
            heads={**self.report.heads, **heads_of(releases)},
        )

    def noisy(self, std: float, noise: NoiseSource) -> tuple[Tensor, float]:
        """Return the total after adding the server's noise of `std`, if any, and the deviation of all noise in it."""
        return add_noise(self.sums, std, noise), hypot(self.noise_std, std)

    def target(self, warm_start: WarmStart, stage: int, count_weight: float, noise: NoiseSource) -> EmbeddingTarget:
        """Return what the generator is to be fitted to, after adding the server's noise of release `stage`, if any."""
        sums, noise_std = self.noisy(warm_start.stage_noise(stage), noise)
        return estimate_target(
            sums,
            records=self.contributions,
            noise_std=noise_std,
            count_weight=count_weight,
            class_counts=warm_start.class_counts,
        )
