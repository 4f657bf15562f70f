"""Strided convolutions (DCGAN; Radford et al. 2016, arXiv:1511.06434), class-conditional, without batch statistics."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from fedgan.models.discriminator import Discriminator
from fedgan.models.layers import LabelledStem, ProjectionHead, convolution, group_norm
from fedgan.models.registry import MODELS, ImageShape, ModelFamily
from fedgan.models.shapes import channel_ladder, doublings, halvings, square_side

DEFAULT_WIDTH = 48
WEIGHT_STD = 0.02
SLOPE = 0.2


class DCGANGenerator(nn.Module):
    """Transposed convolutions from a small feature map up to the image; GroupNorm in place of batch normalisation.

    Args:
        latent_dim: length of a latent vector.
        num_classes: labels lie in [0, num_classes).
        image_shape: (C, H, W), square, H a multiple of 4 from 8 to 64, C 1 or 3.
        width: channels of the last hidden feature map; 0 is 48.
    """

    def __init__(self, *, latent_dim: int, num_classes: int, image_shape: ImageShape, width: int) -> None:
        super().__init__()
        self.latent_dim, self.num_classes, self.image_shape = latent_dim, num_classes, image_shape
        side = square_side(image_shape)
        levels = doublings(side)
        channels = [image_shape[0], *channel_ladder(width or DEFAULT_WIDTH, levels)]
        self.stem = LabelledStem(latent_dim, num_classes, channels[levels], side // 2**levels)
        layers: list[nn.Module] = []
        for level in range(levels, 0, -1):
            layers += [group_norm(channels[level]), nn.ReLU()]
            layers += [nn.ConvTranspose2d(channels[level], channels[level - 1], kernel_size=4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=WEIGHT_STD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1] for latents (N, latent_dim) and labels (N,) int64."""
        return torch.tanh(self.layers(self.stem(latents, labels)))


class DCGANDiscriminator(Discriminator):
    """Strided convolutions down to 2 or 3 pixels, then a projection head; no normalisation, so that steps stay cheap.

    Args:
        num_classes: labels lie in [0, num_classes).
        image_shape: (C, H, W), square, H a multiple of 4 from 8 to 64, C 1 or 3.
        width: channels of the first feature map; 0 is 48.
    """

    def __init__(self, *, num_classes: int, image_shape: ImageShape, width: int) -> None:
        super().__init__()
        side = square_side(image_shape)
        levels = halvings(side)
        channels = [image_shape[0], *channel_ladder(width or DEFAULT_WIDTH, levels)]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(channels):
            layers += [convolution(inputs, outputs, 4, stride=2), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.feature_count = channels[-1] * (side // 2**levels) ** 2
        self.head = ProjectionHead(self.feature_count, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """Return the last feature map, flattened, (N, feature_count), of images (N, C, H, W) in [-1, 1]."""
        features: Tensor = self.layers(images)
        return features

    def score(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return logits (N,) of features (N, feature_count) and labels (N,) int64."""
        logits: Tensor = self.head(features, labels)
        return logits


MODELS.register("dcgan")(ModelFamily(generator=DCGANGenerator, discriminator=DCGANDiscriminator))
