"""Warm start: noisy sums of features or of local moments of all records, and a generator fitted to them."""

from fedgan.training.warm_start.anchor import anchor_to
from fedgan.training.warm_start.classifier import LEARNING_STEPS
from fedgan.training.warm_start.convolutions import ConvolutionMap
from fedgan.training.warm_start.embedding import EmbeddingTarget, embed, estimate_target
from fedgan.training.warm_start.features import FeatureMap
from fedgan.training.warm_start.fit import embedding_loss, fit_generator
from fedgan.training.warm_start.learned import LEARNED, LearnedMap, learned_shapes
from fedgan.training.warm_start.learning import LearnedStages
from fedgan.training.warm_start.mixture import MixtureFit, most_numbers
from fedgan.training.warm_start.moments import Cells, LocalMoments
from fedgan.training.warm_start.refinement import begin_refinement_by
from fedgan.training.warm_start.registry import FAMILIES, check_families, map_of
from fedgan.training.warm_start.rows import ClassFeatures
from fedgan.training.warm_start.stages import embedding_shares, stage_shares

__all__ = [
    "FAMILIES",
    "LEARNED",
    "LEARNING_STEPS",
    "Cells",
    "ClassFeatures",
    "ConvolutionMap",
    "EmbeddingTarget",
    "FeatureMap",
    "LearnedMap",
    "LearnedStages",
    "LocalMoments",
    "MixtureFit",
    "anchor_to",
    "begin_refinement_by",
    "check_families",
    "embed",
    "embedding_loss",
    "embedding_shares",
    "estimate_target",
    "fit_generator",
    "learned_shapes",
    "map_of",
    "most_numbers",
    "stage_shares",
]
