"""Warm start by mean embedding: one noisy sum of random features per class, and a generator fitted to it."""

from fedgan.training.warm_start.embedding import EmbeddingTarget, embed, estimate_target
from fedgan.training.warm_start.features import FeatureMap
from fedgan.training.warm_start.fit import embedding_loss, fit_generator

__all__ = ["EmbeddingTarget", "FeatureMap", "embed", "embedding_loss", "estimate_target", "fit_generator"]
