"""Images and labels: named sources, their split over clients, and the sampling of batches."""

from fedgan.data.dataset import DataSplit, ImageDataset
from fedgan.data.digest import dataset_digest
from fedgan.data.loading import load_data
from fedgan.data.partitioning import class_counts, partition
from fedgan.data.registry import DATASETS, PARTITIONS
from fedgan.data.sampling import poisson_indices, uniform_indices

__all__ = [
    "DATASETS",
    "PARTITIONS",
    "DataSplit",
    "ImageDataset",
    "class_counts",
    "dataset_digest",
    "load_data",
    "partition",
    "poisson_indices",
    "uniform_indices",
]
