"""Residual networks (after Miyato et al. 2018, arXiv:1802.05957, appendix B.4), class-conditional, with GroupNorm."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from fedgan.models.discriminator import Discriminator
from fedgan.models.layers import LabelledStem, ProjectionHead, convolution, group_norm
from fedgan.models.registry import MODELS, ImageShape, ModelFamily
from fedgan.models.shapes import channel_ladder, doublings, halvings, square_side

DEFAULT_WIDTH = 16


class ConditionalGroupNorm(nn.Module):
    """Group normalisation with a gain and a bias per class (as Dumoulin et al. 2017, arXiv:1610.07629, equation 5)."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm = group_norm(channels, affine=False)
        self.gain = nn.Embedding(num_classes, channels)
        self.bias = nn.Embedding(num_classes, channels)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return features (N, channels, H, W), normalised, scaled and shifted as labels (N,) say."""
        gain, bias = self.gain(labels)[:, :, None, None], self.bias(labels)[:, :, None, None]
        affine: Tensor = gain * self.norm(features) + bias
        return affine


class UpBlock(nn.Module):
    """Doubles the resolution: (N, inputs, S, S) -> (N, outputs, 2S, 2S)."""

    def __init__(self, inputs: int, outputs: int, num_classes: int) -> None:
        super().__init__()
        self.norm1 = ConditionalGroupNorm(inputs, num_classes)
        self.conv1 = convolution(inputs, outputs, 3)
        self.norm2 = ConditionalGroupNorm(outputs, num_classes)
        self.conv2 = convolution(outputs, outputs, 3)
        self.shortcut = convolution(inputs, outputs, 1)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the features at twice the resolution, given labels (N,)."""
        hidden = self.conv1(_double(relu(self.norm1(features, labels))))
        hidden = self.conv2(relu(self.norm2(hidden, labels)))
        # A 1x1 convolution commutes with nearest-neighbour upsampling and is four times cheaper before it.
        doubled: Tensor = _double(self.shortcut(features)) + hidden
        return doubled


class DownBlock(nn.Module):
    """Halves the resolution, rounding down: (N, inputs, S, S) -> (N, outputs, S // 2, S // 2).

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        image: whether the input is the image itself, which is neither normalised nor rectified.
    """

    def __init__(self, inputs: int, outputs: int, *, image: bool) -> None:
        super().__init__()
        self.norm1 = None if image else group_norm(inputs)
        self.conv1 = convolution(inputs, outputs, 3)
        self.norm2 = group_norm(outputs)
        self.conv2 = convolution(outputs, outputs, 3)
        self.shortcut = convolution(inputs, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features at half the resolution."""
        hidden = features if self.norm1 is None else relu(self.norm1(features))
        hidden = self.conv2(relu(self.norm2(self.conv1(hidden))))
        shortcut: Tensor = self.shortcut(avg_pool2d(features, 2))
        return shortcut + avg_pool2d(hidden, 2)


class ResNetGenerator(nn.Module):
    """Residual blocks from a small feature map up to the image; the label enters the stem and every normalisation.

    Args:
        latent_dim: length of a latent vector.
        num_classes: labels lie in [0, num_classes).
        image_shape: (C, H, W), square, H a multiple of 4 from 8 to 64, C 1 or 3.
        width: channels of the last hidden feature map; 0 is 16.
    """

    def __init__(self, *, latent_dim: int, num_classes: int, image_shape: ImageShape, width: int) -> None:
        super().__init__()
        self.latent_dim, self.num_classes, self.image_shape = latent_dim, num_classes, image_shape
        side = square_side(image_shape)
        levels = doublings(side)
        channels = channel_ladder(width or DEFAULT_WIDTH, levels + 1)[::-1]
        self.stem = LabelledStem(latent_dim, num_classes, channels[0], side // 2**levels)
        self.blocks = nn.ModuleList(UpBlock(inputs, outputs, num_classes) for inputs, outputs in pairwise(channels))
        self.norm = group_norm(channels[-1])
        self.image = convolution(channels[-1], image_shape[0], 3)
        nn.init.normal_(self.image.weight, std=0.02)  # first images are near grey, where tanh is steep

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1] for latents (N, latent_dim) and labels (N,) int64."""
        features = self.stem(latents, labels)
        for block in self.blocks:
            features = block(features, labels)
        return torch.tanh(self.image(relu(self.norm(features))))


class ResNetDiscriminator(Discriminator):
    """Residual blocks down to 2 or 3 pixels, then a projection head over all of them.

    Pooling those last pixels, as is usual for larger images, would lose where in a small image a stroke lies.

    Args:
        num_classes: labels lie in [0, num_classes).
        image_shape: (C, H, W), square, H a multiple of 4 from 8 to 64, C 1 or 3.
        width: channels of the first feature map; 0 is 16.
    """

    def __init__(self, *, num_classes: int, image_shape: ImageShape, width: int) -> None:
        super().__init__()
        side = square_side(image_shape)
        levels = halvings(side)
        channels = [image_shape[0], *channel_ladder(width or DEFAULT_WIDTH, levels)]
        self.blocks = nn.Sequential(
            *(DownBlock(channels[level], channels[level + 1], image=level == 0) for level in range(levels))
        )
        self.feature_count = channels[-1] * (side // 2**levels) ** 2
        self.head = ProjectionHead(self.feature_count, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """Return the last feature map, flattened, (N, feature_count), of images (N, C, H, W) in [-1, 1]."""
        return relu(self.blocks(images)).flatten(start_dim=1)

    def score(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return logits (N,) of features (N, feature_count) and labels (N,) int64."""
        logits: Tensor = self.head(features, labels)
        return logits


def _double(features: Tensor) -> Tensor:
    return interpolate(features, scale_factor=2.0, mode="nearest")


MODELS.register("resnet")(ModelFamily(generator=ResNetGenerator, discriminator=ResNetDiscriminator))
