"""The warm start that a run's settings ask for, put together."""

from __future__ import annotations

from fedgan.federation.compression import Compression
from fedgan.federation.embeddings import WarmStart
from fedgan.federation.warm_start_state.base import WarmStartState
from fedgan.federation.warm_start_state.beginning import Beginning
from fedgan.federation.warm_start_state.drawn import DrawnFeatures
from fedgan.federation.warm_start_state.learned import LearnedEmbeddings
from fedgan.federation.warm_start_state.local_moments import MomentsInCells
from fedgan.federation.warm_start_state.mean_embedding import MeanEmbedding
from fedgan.privacy.noise import NoiseSource
from fedgan.training.gan import Gan


def beginning_of(
    settings: WarmStart | None, gan: Gan, seed: int, *, compression: Compression, noise: NoiseSource, held_back: bool
) -> Beginning:
    """Return the warm start of `gan`'s generator before anything was asked.

    Args:
        settings: None for no warm start.
        gan: whose generator is fitted, in place.
        seed: of all public streams.
        compression: of arrays on their way.
        noise: where the server's noise comes from.
        held_back: whether early stopping watches a part of the first release, which no fit may see then.

    Raises:
        ValueError: it is one by local moments, and the generator is no mixture.
    """
    if settings is None:
        return Beginning(None, noise, compression)
    drawn = DrawnFeatures(settings, gan, seed, held_back=held_back)
    return Beginning(_state_of(drawn, compression), noise, compression)


def _state_of(drawn: DrawnFeatures, compression: Compression) -> WarmStartState:
    if drawn.settings.mixture:
        return MomentsInCells(drawn, compression)
    return LearnedEmbeddings(drawn, compression) if len(drawn.settings.shares) > 1 else MeanEmbedding(drawn)
