"""A mixture of local linear maps from latents to low cosines, and a perceptron that judges it."""

from __future__ import annotations

from math import prod, sqrt

import torch
from torch import Tensor, nn

from fedgan.errors import bad_value
from fedgan.models.cosines import falling_spectrum, low_cosines
from fedgan.models.families.mlp import MlpDiscriminator
from fedgan.models.families.refiner import Refiner
from fedgan.models.registry import MODELS, ImageShape, ModelFamily

DEFAULT_COMPONENTS = 10
TEXTURE = 0.3
"""Standard deviation of the texture at first: chosen on the training part of Fashion-MNIST, a public benchmark."""
REFINED_TEXTURE = 0.2
"""The same once convolutions have their part: chosen for accuracy against Frechet distance (docs/warm-start.md)."""

_STEEPNESS = 20.0


class MixtureGenerator(nn.Module):
    """Per class a mixture of factor analysers (Ghahramani and Hinton 1996), drawn as images.

    The first latent picks a component of the class, with the probability that the component has; the others are
    multiplied with that component's factors and added to its mean. The sum is the coefficients of the image's lowest
    cosines, min(14, H) by min(14, W) a channel. What few factors leave out of a class's spread comes as texture, the
    analyser's own noise term: the sine of fixed steep functions of the latents, which looks like white noise. Without
    it a classifier takes smoothness for a sign. Convolutions taught edges and textures (`Refiner`) take most of its
    place. Pixels are cut off at -1 and 1. Means, factors, the size of the texture and the convolutions are parameters,
    so an adversary's gradient reaches them; the components' weights stay as the warm start sets them, at first equal.

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
        phases = torch.randn(latent_dim, pixels, generator=torch.Generator().manual_seed(0)) * _STEEPNESS
        self.register_buffer("phases", phases, persistent=False)
        self.texture = nn.Parameter(torch.full((num_classes,), TEXTURE))
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
        noise = sqrt(2.0) * torch.sin(latents @ self.phases.to(latents.dtype))
        noise = noise.view(len(images), self.noise_planes, *images.shape[2:])
        size = self.texture[labels].to(images.dtype)[:, None, None, None]
        added = size * noise[:, : images.shape[1]] + self.refiner(images.clamp(-1.0, 1.0), noise)
        refined: Tensor = (images + added).clamp(-1.0, 1.0)
        return refined

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
def begin_refinement(generator: nn.Module) -> list[nn.Parameter]:
    """Put the convolutions in the place of the plain texture and return their parameters; ValueError without any."""
    mixture = _refinable(generator)
    mixture.texture.zero_()
    return list(mixture.refiner.parameters())


@torch.no_grad()
def end_refinement(generator: nn.Module) -> None:
    """Lay a thinner texture over what the fitted convolutions make; ValueError without any.

    Taught together with it they would smooth what it covers.
    """
    _refinable(generator).texture.fill_(REFINED_TEXTURE)


def _refinable(generator: nn.Module) -> MixtureGenerator:
    if not isinstance(generator, MixtureGenerator):
        raise ValueError("only a mixture generator can be refined")
    return generator


def mixture_discriminator(*, num_classes: int, image_shape: ImageShape, width: int) -> nn.Module:
    """Return the discriminator of `mlp` at its default size, as `width` counts the generator's components."""
    return MlpDiscriminator(num_classes=num_classes, image_shape=image_shape, width=0)


MODELS.register("mixture")(ModelFamily(generator=MixtureGenerator, discriminator=mixture_discriminator))
