"""A mean embedding in one release: class-wise means of features drawn without data."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from fedgan.federation.embeddings import Embeddings
from fedgan.federation.requests import EmbedRequest
from fedgan.federation.warm_start_state.drawn import DrawnFeatures
from fedgan.privacy.noise import NoiseSource
from fedgan.training.warm_start import ClassFeatures


class MeanEmbedding:
    """One release, one target, one fit; see `WarmStartState`."""

    steps = 0

    def __init__(self, drawn: DrawnFeatures) -> None:
        self.drawn = drawn

    @property
    def stage(self) -> int:
        """The number of the only release."""
        return 0

    @property
    def done(self) -> bool:
        """Whether the release is in."""
        return self.drawn.target is not None

    def request(self, run: str) -> EmbedRequest:
        """Ask for the features."""
        return self.drawn.request(run, 0)

    def row_map(self) -> ClassFeatures:
        """Return the map of the features."""
        return self.drawn.feature_map()

    def absorb(self, sums: Embeddings, noise: NoiseSource) -> None:
        """Estimate the target."""
        self.drawn.target = sums.target(self.drawn.settings, 0, self.row_map().count_weight, noise)

    def learn(self, progress: Callable[[int], None] | None) -> bool:
        """Do nothing: one release leads to no other."""
        return False

    def fit(self, progress: Callable[[int], None] | None) -> None:
        """Fit the generator to the target."""
        if self.drawn.target is not None:
            self.drawn.fit(*self.drawn.to_fit(self.drawn.target), progress)

    def state(self) -> dict[str, Tensor]:
        """Return nothing: the target is all there is."""
        return {}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up nothing."""
