"""A release of features that are drawn without data, and the fit of a generator to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from fedgan.federation.asked_map import asked_features
from fedgan.federation.embeddings import WarmStart
from fedgan.federation.requests import EmbedRequest
from fedgan.models import ImageShape
from fedgan.seeding import derive_seed
from fedgan.training.early_stopping import FittedFeatures
from fedgan.training.gan import Gan
from fedgan.training.streams import stream
from fedgan.training.warm_start import ClassFeatures, EmbeddingTarget, fit_generator

Rows = Callable[[Tensor], Tensor]
"""Images (N, C, H, W) -> rows (N, D)."""


class DrawnFeatures:
    """Asks for features of one family and fits the generator to what came in.

    Args:
        settings: of the warm start.
        gan: whose generator is fitted, in place.
        seed: of all public streams.
        held_back: whether early stopping watches a part of the release, which no fit may see then.

    Attributes:
        settings, gan, seed: as above.
        target: what the release gave; None until it is in.
    """

    def __init__(self, settings: WarmStart, gan: Gan, seed: int, *, held_back: bool) -> None:
        self.settings = settings
        self.gan = gan
        self.seed = seed
        self.target: EmbeddingTarget | None = None
        self._held_back = held_back

    def request(self, run: str, stage: int) -> EmbedRequest:
        """Return the request of these features as release `stage`."""
        settings, seed = self.settings, derive_seed(self.seed, "features")
        return EmbedRequest(run, settings.features, seed, stage=stage, family=settings.family)

    def feature_map(self) -> ClassFeatures:
        """Return the map of a record to its row, on the generator's device."""
        shape: ImageShape = self.gan.generator.image_shape  # type: ignore[assignment]
        return asked_features(self.request("", 0), shape).to(self.gan.device)

    def to_fit(self, target: EmbeddingTarget) -> tuple[Rows, EmbeddingTarget]:
        """Return the rows, and the part of `target`, that a fit may see."""
        feature_map = self.feature_map()
        if not self._held_back:
            return feature_map, target
        fitted = FittedFeatures(feature_map)
        return fitted, fitted.target(target)

    def fit(
        self,
        rows: Rows,
        target: EmbeddingTarget,
        progress: Callable[[int], None] | None,
        *,
        before: int = 0,
        parameters: Sequence[nn.Parameter] | None = None,
    ) -> None:
        """Fit the generator to `target` in the space of `rows`.

        Args:
            rows, target: as `to_fit` returns them, or more than these.
            progress: called with the number of steps done.
            before: fits of this warm start that are done.
            parameters: those to train; None for all.
        """
        settings = self.settings
        fit_generator(
            self.gan.generator,
            target,
            rows,
            steps=settings.steps,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            rng=stream(self.seed, "warm start", *([before] if before else [])),
            parameters=parameters,
            progress=progress,
        )
