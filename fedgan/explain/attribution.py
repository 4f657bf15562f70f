"""Which pixels move a discriminator's score, by integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

STEPS = 200
_ROWS = 250  # of a forward pass, as activations of large images fill the memory


@dataclass(frozen=True, eq=False)
class Attribution:
    """How N scores come about, pixel by pixel, compared with the score of one image.

    Attributes:
        pixels: (N, C, H, W), logits; a positive value speaks for real, a negative one for generated.
        scores: (N,), the images' logits; the higher, the more an image is taken for real.
        baseline_scores: (N,), logits of the image compared with, under each image's label.
    """

    pixels: Tensor
    scores: Tensor
    baseline_scores: Tensor

    @property
    def errors(self) -> Tensor:
        """(N,), logits >= 0: how far each image's pixels are from adding up to its score difference.

        They would add up exactly (completeness, proposition 1 of the paper) if a sum did not stand for an integral.
        """
        return (self.pixels.flatten(1).sum(1) - (self.scores - self.baseline_scores)).abs()


def integrated_gradients(
    discriminator: nn.Module, images: Tensor, labels: Tensor, baseline: Tensor, *, steps: int = STEPS
) -> Attribution:
    """Return which pixels make `discriminator` score `images` otherwise than `baseline`.

    Equation 1 of the paper: (x - x') times the mean gradient of the logit on the straight line from x' to x, whose
    mean is taken over the midpoints of `steps` parts of the line.

    Args:
        discriminator: images (N, C, H, W) in [-1, 1] and labels (N,) -> logits (N,), in evaluation mode.
        images: (N, C, H, W) in [-1, 1], N at least 1.
        labels: (N,) int64, the classes that the images are taken as.
        baseline: (C, H, W) in [-1, 1], the image compared with.
        steps: gradients an image.
    """
    method = IntegratedGradients(discriminator)
    pixels = [
        method.attribute(
            some_images,
            baselines=baseline[None],
            additional_forward_args=some_labels,
            n_steps=steps,
            method="riemann_middle",
            internal_batch_size=_ROWS,
        )
        for some_images, some_labels in zip(images.split(_ROWS), labels.split(_ROWS), strict=True)
    ]
    with torch.no_grad():
        scores = discriminator(images, labels)
        baseline_scores = discriminator(baseline.expand_as(images), labels)
    return Attribution(torch.cat(pixels).detach(), scores, baseline_scores)
