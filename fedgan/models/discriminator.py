"""What every family's discriminator is: features of an image, and a score of them under a label."""

from __future__ import annotations

from torch import Tensor, nn


class Discriminator(nn.Module):
    """Maps images and labels to logits by way of features that know nothing of the label.

    Attributes:
        feature_count: length of a feature vector.
    """

    feature_count: int

    def features(self, images: Tensor) -> Tensor:
        """Return the features (N, feature_count) of images (N, C, H, W) in [-1, 1]."""
        raise NotImplementedError

    def score(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return logits (N,) of features (N, feature_count) and labels (N,) int64."""
        raise NotImplementedError

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return logits (N,) of images (N, C, H, W) in [-1, 1] and labels (N,) int64."""
        return self.score(self.features(images), labels)
