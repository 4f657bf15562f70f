"""What synthetic images are worth: classifiers trained on them and tested on real, public images."""

from fedgan.evaluation.generation import generate_images
from fedgan.evaluation.registry import METRICS, Metric

__all__ = ["METRICS", "Metric", "generate_images"]
