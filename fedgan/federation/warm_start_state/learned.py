"""A mean embedding in several releases, those after the first of features learned on generated images."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from fedgan.federation.compression import Compression
from fedgan.federation.embeddings import Embeddings
from fedgan.federation.requests import EmbedRequest
from fedgan.federation.tensors import part_of, parted
from fedgan.federation.warm_start_state.drawn import DrawnFeatures
from fedgan.federation.warm_start_state.rounding import as_seen
from fedgan.models import ImageShape
from fedgan.privacy.noise import NoiseSource
from fedgan.training.streams import stream
from fedgan.training.warm_start import LEARNED, ClassFeatures, LearnedStages

_PART = "learned"


class LearnedEmbeddings:
    """Fits, learns and asks in turn; see `WarmStartState` and `LearnedStages`.

    Weights travel in `compression`, and the server reckons with those that the clients see.
    """

    def __init__(self, drawn: DrawnFeatures, compression: Compression) -> None:
        self.drawn = drawn
        shape: ImageShape = drawn.gan.generator.image_shape  # type: ignore[assignment]
        self._stages = LearnedStages(len(drawn.settings.shares), shape, as_seen=as_seen(compression))

    @property
    def stage(self) -> int:
        """Releases that are in."""
        return self._stages.stage

    @property
    def done(self) -> bool:
        """Whether every release is in."""
        return self._stages.done

    @property
    def steps(self) -> int:
        """Releases that are in and features that were learned, together."""
        return self._stages.steps

    def request(self, run: str) -> EmbedRequest:
        """Ask for the features drawn without data first, then for those learned last."""
        if not self._learned_due:
            return self.drawn.request(run, 0)
        arrays = {name: tensor.numpy() for name, tensor in self._stages.arrays().items()}
        return EmbedRequest(run, 0, 0, stage=self.stage, arrays=arrays, family=LEARNED)

    def row_map(self) -> ClassFeatures:
        """Return the map of what is asked for next."""
        return self._stages.feature_map() if self._learned_due else self.drawn.feature_map()

    def absorb(self, sums: Embeddings, noise: NoiseSource) -> None:
        """Estimate one more target; the first is that of the features drawn without data."""
        target = sums.target(self.drawn.settings, self.stage, self.row_map().count_weight, noise)
        self.drawn.target = self.drawn.target or target
        self._stages.absorb(target)

    def learn(self, progress: Callable[[int], None] | None) -> bool:
        """Fit the generator to what is in and learn the next release's features on its images, if they are due."""
        if not self._stages.unlearned:
            return False
        self.fit(progress)
        self._stages.learn(self.drawn.gan.generator, stream(self.drawn.seed, "learned features", self.stage))
        return True

    def fit(self, progress: Callable[[int], None] | None) -> None:
        """Fit the generator to all releases that are in."""
        if self.stage:
            self.drawn.fit(*self._stages.joined(self.drawn.feature_map()), progress, before=self.stage - 1)

    def state(self) -> dict[str, Tensor]:
        """Return every target and every network."""
        return parted(_PART, self._stages.state())

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned."""
        state = part_of(tensors, _PART)
        if self.drawn.target is not None and not state:
            raise ValueError("its warm start had one release: give training.warm_start_stages = 0 or 1")
        self._stages.load_state(state)

    @property
    def _learned_due(self) -> bool:
        return self.stage > 0 and not self.done
