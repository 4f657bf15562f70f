"""What synthetic images are worth, judged on real, public images: by classifiers trained on them, and by distances."""

from fedgan.evaluation.generation import generate_images
from fedgan.evaluation.registry import METRICS, Metric, Scale, choose_metrics

__all__ = ["METRICS", "Metric", "Scale", "choose_metrics", "generate_images"]
