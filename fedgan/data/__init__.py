"""Images and labels: named sources, their split over clients, and the sampling of batches."""

from fedgan.data.dataset import DataSplit, ImageDataset
from fedgan.data.digest import dataset_digest
from fedgan.data.feature_skew import skewed
from fedgan.data.loading import load_data
from fedgan.data.partitioning import class_counts, partition
from fedgan.data.registry import DATASETS, PARTITIONS, SKEWS, is_public
from fedgan.data.sampling import poisson_indices, uniform_indices

__all__ = [
    "DATASETS",
    "PARTITIONS",
    "SKEWS",
    "DataSplit",
    "ImageDataset",
    "class_counts",
    "dataset_digest",
    "is_public",
    "load_data",
    "partition",
    "poisson_indices",
    "skewed",
    "uniform_indices",
]
