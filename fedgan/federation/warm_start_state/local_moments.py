"""Local moments for a mixture generator, and where it is refined a last release of features."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from fedgan.federation.compression import Compression
from fedgan.federation.embeddings import Embeddings
from fedgan.federation.requests import EmbedRequest
from fedgan.federation.tensors import part_of, parted
from fedgan.federation.warm_start_state.drawn import DrawnFeatures
from fedgan.federation.warm_start_state.rounding import as_seen
from fedgan.models.families.mixture import MixtureGenerator, lay_over
from fedgan.privacy.noise import NoiseSource
from fedgan.training.streams import stream
from fedgan.training.warm_start import ClassFeatures, LocalMoments, MixtureFit, begin_refinement_by

_PART = "mixture"


class MomentsInCells:
    """Asks for moments in cells that the releases before led to; see `WarmStartState` and `MixtureFit`.

    Cells travel in `compression`, and the server reckons with those that the clients see.

    Raises:
        ValueError: the generator is no mixture.
    """

    def __init__(self, drawn: DrawnFeatures, compression: Compression) -> None:
        settings, generator = drawn.settings, drawn.gan.generator
        if not isinstance(generator, MixtureGenerator):
            raise ValueError("a warm start by local moments wants a mixture generator")
        self.drawn = drawn
        self._fit = MixtureFit(
            generator,
            shares=settings.shares[:-1] if settings.refined else settings.shares,
            rng_of=lambda stage: stream(drawn.seed, "cells", stage),
            as_seen=as_seen(compression),
        )

    @property
    def stage(self) -> int:
        """Releases of moments that are in."""
        return self._fit.stage

    @property
    def done(self) -> bool:
        """Whether the mixture has its components and, where it is refined, the features are in."""
        return self._fit.done and (self.drawn.target is not None or not self.drawn.settings.refined)

    @property
    def steps(self) -> int:
        """Releases of moments that are in."""
        return self.stage

    def request(self, run: str) -> EmbedRequest:
        """Ask for moments, and for features after the last of these."""
        if self._features_due:
            return self.drawn.request(run, self.stage)
        arrays = {name: tensor.numpy() for name, tensor in self._fit.arrays().items()}
        return EmbedRequest(run, 0, 0, stage=self.stage, order=self._fit.order, arrays=arrays)

    def row_map(self) -> ClassFeatures | LocalMoments:
        """Return the map of what is asked for next."""
        return self.drawn.feature_map() if self._features_due else self._fit.moments()

    def absorb(self, sums: Embeddings, noise: NoiseSource) -> None:
        """Find the next cells, or the components; or estimate the target."""
        settings = self.drawn.settings
        if self._features_due:
            count_weight = self.drawn.feature_map().count_weight
            self.drawn.target = sums.target(settings, self.stage, count_weight, noise)
        else:
            self._fit.absorb(*sums.noisy(settings.stage_noise(self.stage), noise))

    def learn(self, progress: Callable[[int], None] | None) -> bool:
        """Do nothing: the next cells are found as a release comes in."""
        return False

    def fit(self, progress: Callable[[int], None] | None) -> None:
        """Fit the mixture, which has its components, to the features, if there are any; then lay its shading over."""
        drawn, settings, generator = self.drawn, self.drawn.settings, self.drawn.gan.generator
        if drawn.target is not None:
            parameters = begin_refinement_by(generator, settings.family) if settings.refined else None
            drawn.fit(*drawn.to_fit(drawn.target), progress, parameters=parameters)
        lay_over(generator, shading=settings.shading, refined=settings.refined)

    def state(self) -> dict[str, Tensor]:
        """Return the number of the next release and its cells."""
        return parted(_PART, {"stage": torch.tensor(self.stage), **self._fit.arrays()})

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned."""
        cells = part_of(tensors, _PART)
        self._fit.load(int(cells.pop("stage")), cells)

    @property
    def _features_due(self) -> bool:
        return self._fit.done and self.drawn.settings.refined
