"""Multilayer perceptrons: a generator that draws smooth images from cosines, and a projection discriminator."""

from __future__ import annotations

from math import pi, sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from fedgan.models.cosines import falling_spectrum
from fedgan.models.discriminator import Discriminator
from fedgan.models.registry import MODELS, ImageShape, ModelFamily

DEFAULT_WIDTH = 512
_MAX_COSINES = 20


class MlpGenerator(nn.Module):
    """Two hidden layers, then tanh of a sum of the image's lowest two-dimensional cosines.

    The perceptron puts out coefficients of the discrete cosine transform of each channel (Ahmed et al. 1974, "Discrete
    cosine transform"), min(20, H) by min(20, W) of them, scaled by 1 / (1 + (i^2 + j^2) / 16): the spectra of natural
    images fall off like this, and the scale keeps high frequencies, which are learnt last, from speckling the image.

    Args:
        latent_dim: length of a latent vector.
        num_classes: labels lie in [0, num_classes).
        image_shape: (channels, height, width) in pixels.
        width: units of each hidden layer; 0 is 512.
    """

    columns: Tensor
    rows: Tensor
    prior: Tensor

    def __init__(self, *, latent_dim: int, num_classes: int, image_shape: ImageShape, width: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.num_classes = num_classes
        self.image_shape = image_shape
        channels, height, image_width = image_shape
        units = width or DEFAULT_WIDTH
        vertical, horizontal = _cosines(height), _cosines(image_width)
        self.hidden = nn.Sequential(
            nn.Linear(latent_dim + num_classes, units),
            GeneratorNorm(units),
            nn.ReLU(),
            nn.Linear(units, units),
            GeneratorNorm(units),
            nn.ReLU(),
            nn.Linear(units, channels * len(vertical) * len(horizontal)),
        )
        # The bases follow from the image shape, so they are no part of the state dict.
        self.register_buffer("rows", vertical, persistent=False)
        self.register_buffer("columns", horizontal, persistent=False)
        self.register_buffer("prior", falling_spectrum(len(vertical), len(horizontal)), persistent=False)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1] from latents (N, latent_dim) and labels (N,) int64."""
        condition = one_hot(labels, self.num_classes).to(latents.dtype)
        coefficients = self.hidden(torch.cat([latents, condition], dim=1))
        coefficients = coefficients.unflatten(1, (self.image_shape[0], *self.prior.shape)) * self.prior
        return torch.tanh(self.rows.t() @ coefficients @ self.columns)


class GeneratorNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167) whose state is float tensors only.

    A generator never sees a record, so mixing its rows costs no privacy; a discriminator must not have this. It keeps
    no integer counter of batches as torch's own does, since counters have no meaningful average over clients.

    Args:
        units: length of a row.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(units))
        self.bias = nn.Parameter(torch.zeros(units))
        self.register_buffer("mean", torch.zeros(units))
        self.register_buffer("variance", torch.ones(units))

    def forward(self, rows: Tensor) -> Tensor:
        """Return normalised rows (N, units): by the batch's statistics in training with N > 1."""
        training = self.training and len(rows) > 1
        return nn.functional.batch_norm(rows, self.mean, self.variance, self.weight, self.bias, training)


class MlpDiscriminator(Discriminator):
    """Two hidden layers with projection conditioning (Miyato and Koyama 2018, arXiv:1802.05637, equation 4).

    Args:
        num_classes: labels lie in [0, num_classes).
        image_shape: (channels, height, width) in pixels.
        width: units of the first hidden layer, the second has half; 0 is 512.
    """

    def __init__(self, *, num_classes: int, image_shape: ImageShape, width: int) -> None:
        super().__init__()
        channels, height, image_width = image_shape
        units = width or DEFAULT_WIDTH
        self.feature_count = features = max(1, units // 2)
        self.hidden = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * height * image_width, units),
            nn.LeakyReLU(0.2),
            nn.Linear(units, features),
            nn.LeakyReLU(0.2),
        )
        self.head = nn.Linear(features, 1)
        self.projection = nn.Embedding(num_classes, features)

    def features(self, images: Tensor) -> Tensor:
        """Return the last hidden layer (N, feature_count) of images (N, C, H, W) in [-1, 1]."""
        features: Tensor = self.hidden(images)
        return features

    def score(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return logits (N,) of features (N, feature_count) and labels (N,) int64."""
        logits: Tensor = self.head(features).squeeze(1) + (features * self.projection(labels)).sum(1)
        return logits


def _cosines(length: int) -> Tensor:
    """Return the lowest min(20, length) cosines of the DCT-II, each with mean square 1 over its `length` pixels."""
    order = torch.arange(min(_MAX_COSINES, length), dtype=torch.float64)
    position = (torch.arange(length, dtype=torch.float64) + 0.5) / length
    basis = torch.cos(pi * order[:, None] * position) * sqrt(2.0)
    basis[0] = 1.0
    return basis.float()


MODELS.register("mlp")(ModelFamily(generator=MlpGenerator, discriminator=MlpDiscriminator))
