"""Warm start: noisy sums of features or of local moments of all records, and a generator fitted to them."""

from fedgan.training.warm_start.convolutions import ConvolutionMap
from fedgan.training.warm_start.embedding import EmbeddingTarget, embed, estimate_target
from fedgan.training.warm_start.features import FeatureMap
from fedgan.training.warm_start.fit import embedding_loss, fit_generator
from fedgan.training.warm_start.mixture import MixtureFit, most_numbers
from fedgan.training.warm_start.moments import Cells, LocalMoments
from fedgan.training.warm_start.refinement import begin_refinement_by
from fedgan.training.warm_start.registry import FAMILIES
from fedgan.training.warm_start.rows import ClassFeatures
from fedgan.training.warm_start.stages import stage_shares

__all__ = [
    "FAMILIES",
    "Cells",
    "ClassFeatures",
    "ConvolutionMap",
    "EmbeddingTarget",
    "FeatureMap",
    "LocalMoments",
    "MixtureFit",
    "begin_refinement_by",
    "embed",
    "embedding_loss",
    "estimate_target",
    "fit_generator",
    "most_numbers",
    "stage_shares",
]
