"""Layers that the convolutional families share; none of them mixes the samples of a batch."""

from __future__ import annotations

from math import gcd

import torch
from torch import Tensor, nn

LABEL_FEATURES = 32
MOST_GROUPS = 8


class LabelledStem(nn.Module):
    """Turns a latent vector and a label into a generator's first feature map.

    Args:
        latent_dim: length of the latent vectors.
        num_classes: labels lie in [0, num_classes).
        channels: channels of the feature map.
        side: height and width of the feature map in pixels.
    """

    def __init__(self, latent_dim: int, num_classes: int, channels: int, side: int) -> None:
        super().__init__()
        self.shape = (channels, side, side)
        self.labels = nn.Embedding(num_classes, LABEL_FEATURES)
        self.linear = nn.Linear(latent_dim + LABEL_FEATURES, channels * side * side)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return features (N, channels, side, side) of latents (N, latent_dim) and labels (N,)."""
        features: Tensor = self.linear(torch.cat([latents, self.labels(labels)], dim=1))
        return features.reshape(-1, *self.shape)


class ProjectionHead(nn.Module):
    """Scores features by how real they look and how well they fit a label.

    The logit is psi(phi) + <v_y, phi>, a linear score plus the inner product with the label's vector (Miyato & Koyama
    2018, arXiv:1802.05637, equation 3).

    Args:
        features: length of a feature vector.
        num_classes: labels lie in [0, num_classes).
    """

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        self.score = nn.Linear(features, 1)
        self.labels = nn.Embedding(num_classes, features)
        nn.init.normal_(self.score.weight, std=features**-0.5)
        nn.init.zeros_(self.score.bias)
        nn.init.normal_(self.labels.weight, std=features**-0.5)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return logits (N,) of features (N, features) and labels (N,)."""
        logits: Tensor = self.score(features).squeeze(1) + (self.labels(labels) * features).sum(dim=1)
        return logits


def convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> nn.Conv2d:
    """Return a convolution that divides the resolution by `stride`.

    Its weights start at the scale that rectified layers keep (He et al. 2015, arXiv:1502.01852, equation 10), its bias
    at 0.
    """
    layer = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=(kernel - 1) // 2)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def group_norm(channels: int, *, affine: bool = True) -> nn.GroupNorm:
    """Return group normalisation (Wu & He 2018, arXiv:1803.08494) with at most 8 groups that divide `channels`."""
    return nn.GroupNorm(gcd(channels, MOST_GROUPS), channels, affine=affine)
