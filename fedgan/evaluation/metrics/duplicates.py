"""Near-duplicates among the synthetic images."""

from __future__ import annotations

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.pixels import nearest_distances, pixels
from fedgan.evaluation.registry import METRICS, Metric, Scale
from fedgan.evaluation.requirements import require_comparable
from fedgan.seeding import derive_seed

IMAGES = 5000
RARE = 0.01


def duplicates(synthetic: ImageDataset, test: ImageDataset, seed: int) -> float:
    """Return the share in [0, 1] of synthetic images that have another one nearer than real images ever lie together.

    "Nearer than ever" is the hundredth part of test images with the nearest neighbour among the other test images, in
    pixels, of equally many images (at most 5,000): about 0.01 of fresh real images are so near, and all images of a
    generator that makes the same few again and again.

    Args:
        synthetic: at least 2 images.
        test: real, public images, at least 2.
        seed: draws the images of the larger set.

    Raises:
        UsageError: the two sets do not fit each other or are too small.
    """
    require_comparable(synthetic, test, at_least=2)
    count = min(IMAGES, len(synthetic), len(test))
    made = pixels(synthetic, count, derive_seed(seed, "duplicates", "synthetic"))
    real = pixels(test, count, derive_seed(seed, "duplicates", "test"))
    threshold = nearest_distances(real, real, itself=True).quantile(RARE)
    return float((nearest_distances(made, made, itself=True) < threshold).double().mean())


METRICS.register("duplicates")(
    Metric(
        duplicates,
        Scale.EXCESS,
        "share of generated images nearer to another one than 99 of 100 test images are to any other, in pixels",
    )
)
