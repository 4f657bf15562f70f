"""What the convolutional families share: the image shapes they accept and the ladder of resolutions they climb."""

from __future__ import annotations

from fedgan.errors import bad_value
from fedgan.models.registry import ImageShape

SMALLEST, LARGEST, STEP = 8, 64, 4


def square_side(image_shape: ImageShape) -> int:
    """Return the side in pixels of `image_shape` (C, H, W), if it is one that the convolutional families accept.

    Raises:
        UsageError: the image is not square with a side of 8, 12, ..., 64 pixels, or has neither 1 nor 3 channels.
    """
    channels, height, width = image_shape
    if height != width or height % STEP or not SMALLEST <= height <= LARGEST:
        size = height if height == width else f"{height}x{width}"
        raise bad_value(
            "data.image_size", size, f"a multiple of {STEP} from {SMALLEST} to {LARGEST} (square images, in pixels)"
        )
    if channels not in (1, 3):
        raise bad_value("data.channels", channels, "1 or 3")
    return height


def doublings(side: int) -> int:
    """Return how often a generator doubles its first feature map to reach `side` pixels.

    At least twice; more often where the first map stays a whole number of at least 3 pixels wide: 28 = 7 * 2 * 2,
    64 = 4 * 2 * 2 * 2 * 2.
    """
    count = 2
    while side % 2 ** (count + 1) == 0 and side // 2 ** (count + 1) >= 3:
        count += 1
    return count


def halvings(side: int) -> int:
    """Return how often a discriminator halves `side` pixels, rounding down, to a last feature map of 2 or 3 pixels."""
    count = 0
    while side > 3:
        side, count = side // 2, count + 1
    return count


def channel_ladder(width: int, levels: int) -> list[int]:
    """Return the channels of `levels` feature maps, the one nearest the image first: width, 2 width, then 4 width."""
    return [width * min(2**level, 4) for level in range(levels)]
