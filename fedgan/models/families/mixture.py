"""A mixture of local linear maps from latents to low cosines, and a perceptron that judges it."""

from __future__ import annotations

from math import prod, sqrt

import torch
from torch import Tensor, nn

from fedgan.errors import bad_value
from fedgan.models.cosines import falling_spectrum, low_cosines
from fedgan.models.discriminator import Discriminator
from fedgan.models.families.mlp import MlpDiscriminator
from fedgan.models.families.refiner import Refiner
from fedgan.models.registry import MODELS, ImageShape, ModelFamily

DEFAULT_COMPONENTS = 10
TEXTURE = 0.3
"""Standard deviation of the texture at first: chosen on the training part of Fashion-MNIST, a public benchmark."""
REFINED_TEXTURE = 0.1
"""The same once convolutions have their part: chosen for accuracy against Frechet distance (docs/warm-start.md)."""
SHADING = 0.25
"""Standard deviation of the logarithm of the shading: chosen there too."""

_STEEPNESS = 20.0
_SHADES = 10
"""Cosines a side that the shading is made of."""


class MixtureGenerator(nn.Module):
    """Per class a mixture of factor analysers (Ghahramani and Hinton 1996), drawn as images.

    The first latent picks a component of the class, with the probability that the component has; the others are
    multiplied with that component's factors and added to its mean. The sum is the coefficients of the image's lowest
    cosines, min(14, H) by min(14, W) a channel. What few factors leave out of a class's spread comes as noise: sines
    of fixed steep functions of the latents, which look random. Some of it is texture, the analyser's own noise term,
    without which a classifier takes smoothness for a sign; convolutions taught edges and textures (`Refiner`) take most
    of its place. Some is shading: brightness above black, (pixel + 1) / 2, times the exponential of a sum of the
    lowest 10 by 10 cosines, as light falls on things. Pixels are cut off at -1 and 1. Means, factors, the sizes of
    texture and shading and the convolutions are parameters, so an adversary's gradient reaches them; the components'
    weights stay as the warm start sets them, at first equal.

    Args:
        latent_dim: length of a latent vector, at least 2.
        num_classes: labels lie in [0, num_classes).
        image_shape: (channels, height, width) in pixels.
        width: components of each class; 0 is 10.

    Raises:
        UsageError: `latent_dim` is 1, which would leave no latent for the factors.
    """

    rows: Tensor
    columns: Tensor
    cumulative: Tensor
    phases: Tensor
    shade_phases: Tensor

    def __init__(self, *, latent_dim: int, num_classes: int, image_shape: ImageShape, width: int) -> None:
        super().__init__()
        if latent_dim < 2:
            raise bad_value("model.latent_dim", latent_dim, "an integer of at least 2 with model.name = 'mixture'")
        self.latent_dim, self.num_classes, self.image_shape = latent_dim, num_classes, image_shape
        components = width or DEFAULT_COMPONENTS
        rows, columns = (cosines.float() for cosines in low_cosines(*image_shape[1:]))
        scale = falling_spectrum(len(rows), len(columns)).expand(image_shape[0], -1, -1).flatten()
        scale = scale * sqrt(image_shape[1] * image_shape[2]) / 4
        self.means = nn.Parameter(torch.randn(num_classes, components, len(scale)) * scale)
        factors = torch.randn(num_classes, components, latent_dim - 1, len(scale)) * scale
        self.factors = nn.Parameter(factors / sqrt(latent_dim - 1))
        steps = torch.arange(1, components + 1) / components
        self.register_buffer("cumulative", steps.expand(num_classes, -1).contiguous())
        # What follows from the sizes alone is no part of the state dict.
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)
        self.noise_planes = image_shape[0] + 1
        pixels = self.noise_planes * prod(image_shape[1:])
        self.register_buffer("phases", _phases(latent_dim, pixels, seed=0), persistent=False)
        self.texture = nn.Parameter(torch.full((num_classes,), TEXTURE))
        self.shades = tuple(min(_SHADES, side) for side in image_shape[1:])
        self.register_buffer("shade_phases", _phases(latent_dim, prod(self.shades), seed=1), persistent=False)
        self.shading = nn.Parameter(torch.full((num_classes,), SHADING))
        self.refiner = Refiner(image_shape[0], self.noise_planes)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1] from latents (N, latent_dim) and labels (N,) int64."""
        quantile = torch.special.ndtr(latents[:, :1].float())
        last = self.cumulative.shape[1] - 1
        component = torch.searchsorted(self.cumulative[labels], quantile, right=True)[:, 0].clamp(max=last)
        offsets = latents[:, None, 1:] @ self.factors[labels, component].to(latents.dtype)
        coefficients = self.means[labels, component] + offsets[:, 0]
        planes = coefficients.unflatten(1, (self.image_shape[0], len(self.rows), len(self.columns)))
        images: Tensor = self.rows.t() @ planes @ self.columns
        noise = _sines(latents, self.phases).view(len(images), self.noise_planes, *images.shape[2:])
        size = self.texture[labels].to(images.dtype)[:, None, None, None]
        added = size * noise[:, : images.shape[1]] + self.refiner(images.clamp(-1.0, 1.0), noise)
        shaded: Tensor = (images + added + 1.0) * self._shade(latents, labels) - 1.0
        return shaded.clamp(-1.0, 1.0)

    def _shade(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return what brightness is multiplied with, (N, 1, H, W), all positive; its logarithm has mean 0."""
        height, width = self.shades
        waves = _sines(latents, self.shade_phases).view(len(latents), height, width)
        scale = sqrt(prod(self.image_shape[1:]) / (height * width))  # the mean square over an image is then 1
        logarithm = scale * (self.rows[:height].t() @ waves @ self.columns[:width])
        return (self.shading[labels].to(latents.dtype)[:, None, None] * logarithm)[:, None].exp()

    @torch.no_grad()
    def set_components(self, weights: Tensor, means: Tensor, factors: Tensor) -> None:
        """Take over components that were estimated elsewhere.

        Args:
            weights: of each class's components, (num_classes, components), not negative, some positive in each class.
            means: their coefficients, (num_classes, components, coefficients).
            factors: (num_classes, components, latent_dim - 1, coefficients).
        """
        cumulative = weights.cumsum(1)
        self.cumulative.copy_(cumulative / cumulative[:, -1:])
        self.means.copy_(means)
        self.factors.copy_(factors)


@torch.no_grad()
def begin_refinement(generator: nn.Module, *, everything: bool = False) -> list[nn.Parameter]:
    """Put the convolutions in the place of texture and shading; return what is to be taught; ValueError without any.

    That is the convolutions' parameters and, with `everything`, the components' means and factors.
    """
    mixture = _refinable(generator)
    mixture.texture.zero_()
    mixture.shading.zero_()
    taught = list(mixture.refiner.parameters())
    return [mixture.means, mixture.factors, *taught] if everything else taught


@torch.no_grad()
def lay_over(generator: nn.Module, *, shading: float, refined: bool) -> None:
    """Lay shading of the size `shading` and texture over what the mixture makes; ValueError without any.

    Over images that convolutions were taught to make (`refined`) the texture is thinner. Taught together with these,
    convolutions would smooth what they cover.
    """
    mixture = _refinable(generator)
    mixture.texture.fill_(REFINED_TEXTURE if refined else TEXTURE)
    mixture.shading.fill_(shading)


def _phases(latent_dim: int, count: int, *, seed: int) -> Tensor:
    return torch.randn(latent_dim, count, generator=torch.Generator().manual_seed(seed)) * _STEEPNESS


def _sines(latents: Tensor, phases: Tensor) -> Tensor:
    """Return (N, count) numbers of mean square 1 that look random, of latents (N, latent_dim)."""
    return sqrt(2.0) * torch.sin(latents @ phases.to(latents.dtype))


def _refinable(generator: nn.Module) -> MixtureGenerator:
    if not isinstance(generator, MixtureGenerator):
        raise ValueError("only a mixture generator can be refined")
    return generator


def mixture_discriminator(*, num_classes: int, image_shape: ImageShape, width: int) -> Discriminator:
    """Return the discriminator of `mlp` at its default size, as `width` counts the generator's components."""
    return MlpDiscriminator(num_classes=num_classes, image_shape=image_shape, width=0)


MODELS.register("mixture")(ModelFamily(generator=MixtureGenerator, discriminator=mixture_discriminator))
