"""What every family's discriminator is: features of an image, and a score of them under a label."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Discriminator(nn.Module, ABC):
    """Maps images and labels to logits by way of features that know nothing of the label.

    Attributes:
        feature_count: length of a feature vector.
    """

    feature_count: int

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """Return the features (N, feature_count) of images (N, C, H, W) in [-1, 1]."""
        ...

    @abstractmethod
    def score(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return logits (N,) of features (N, feature_count) and labels (N,) int64."""
        ...

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return logits (N,) of images (N, C, H, W) in [-1, 1] and labels (N,) int64."""
        return self.score(self.features(images), labels)
