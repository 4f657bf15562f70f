"""What a run's discriminator sees in the images that the run's generator makes of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from fedgan.errors import FedganError
from fedgan.evaluation import generate_images
from fedgan.explain.attribution import Attribution, integrated_gradients
from fedgan.seeding import derive_seed

AVERAGED = 500


@dataclass(frozen=True)
class ClassSummary:
    """What `count` images of class `label` have in common.

    Attributes:
        label: the class.
        images: images explained.
        mean_score: mean logit of the images; the higher, the more they are taken for real.
        baseline_score: logit of the average image, taken as one of this class.
        completeness_error: the largest `Attribution.errors` of the images.
    """

    label: int
    images: int
    mean_score: float
    baseline_score: float
    completeness_error: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """Generated images (N, C, H, W) in [-1, 1], their labels (N,), and what speaks for and against them."""

    images: Tensor
    labels: Tensor
    attribution: Attribution

    def summaries(self) -> list[ClassSummary]:
        """Return one a class, in the order of their first image."""
        found = self.attribution
        return [
            ClassSummary(
                label=label,
                images=int(rows.sum()),
                mean_score=float(found.scores[rows].mean()),
                baseline_score=float(found.baseline_scores[rows].mean()),
                completeness_error=float(found.errors[rows].max()),
            )
            for label in dict.fromkeys(self.labels.tolist())
            for rows in (self.labels == label,)
        ]


def explain_classes(
    generator: nn.Module, discriminator: nn.Module, *, labels: Sequence[int], count: int, seed: int
) -> Explanation:
    """Generate `count` images of each of `labels` and explain the discriminator's score of each.

    They are compared with the average of at least 500 generated images of all classes: what no class has in common, and
    as little a real image as anything. It is generated too, so nothing private is read.

    Args:
        generator: as for `generate_images`.
        discriminator: images (N, C, H, W) in [-1, 1] and labels (N,) -> logits (N,), in evaluation mode, on the CPU.
        labels: classes, each named once.
        count: images a class, at least 1.
        seed: seed of the latents.

    Raises:
        FedganError: an image or a score is not finite, as after a training that diverged.
    """
    made = generate_images(generator, count * len(labels), labels=labels, seed=seed)
    averaged = max(AVERAGED, made.num_classes)
    average = generate_images(generator, averaged, seed=derive_seed(seed, "baseline")).images.mean(dim=0)
    found = integrated_gradients(discriminator, made.images, made.labels, average)
    if not (found.scores.isfinite().all() and found.pixels.isfinite().all()):
        raise FedganError("the discriminator's scores or their gradients are not finite: its training diverged")
    return Explanation(made.images, made.labels, found)
