"""Brings images of any size to one square shape, by rules that look at no other image.

Everything is a ratio of integers that float64 holds exactly, so uint8 images come out the same on every machine and
number of threads; a ledger's commitment to the data depends on that.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LUMINANCE = (299, 587, 114)
"""Weights in thousandths of red, green and blue in the luma of ITU-R BT.601."""

CHUNK = 1024
"""Images converted at a time, which bounds the float64 copies."""


@dataclass(frozen=True)
class ImageFormat:
    """The shape that a source is asked to deliver.

    Args:
        size: side of the square in pixels; 0 keeps the shorter side of the source's images.
        channels: 1 (luminance) or 3 (grey is repeated); 0 keeps the source's own.
    """

    size: int = 0
    channels: int = 0

    def or_size(self, size: int) -> ImageFormat:
        """Return this format with `size` where none was asked for."""
        return ImageFormat(self.size or size, self.channels)

    def apply(self, images: Tensor) -> Tensor:
        """Crop to the central square, convert the channels, then resize.

        Shrinking averages over the area that a new pixel covers, enlarging interpolates bilinearly between the
        centres of pixels.

        Args:
            images: (N, C, H, W) with C 1 or 3, uint8 in [0, 255] or float32 in [-1, 1].

        Returns:
            (N, channels, size, size) of the same dtype and range.
        """
        height, width = images.shape[2:]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        images = images[:, :, top : top + side, left : left + side]
        if (self.size or side) == side and (self.channels or images.shape[1]) == images.shape[1]:
            return images.contiguous()
        return torch.cat([self._convert(chunk) for chunk in images.split(CHUNK)])

    def _convert(self, images: Tensor) -> Tensor:
        """Convert square images (N, C, S, S)."""
        exact, scale = images.double(), 1
        if self.channels == 1 and images.shape[1] == 3:
            weights = torch.tensor(LUMINANCE, dtype=torch.float64).view(1, 3, 1, 1)
            exact, scale = (exact * weights).sum(dim=1, keepdim=True), sum(LUMINANCE)
        side = images.shape[-1]
        resize, total = _resize_weights(side, self.size or side)
        exact = resize @ exact @ resize.T / (scale * total**2)
        if images.dtype == torch.uint8:
            converted = exact.round().to(torch.uint8)
        else:
            converted = exact.clamp(-1, 1).to(images.dtype)
        if self.channels == 3:
            converted = converted.expand(-1, 3, -1, -1)
        return converted.contiguous()


def _resize_weights(source: int, target: int) -> tuple[Tensor, int]:
    """Return integer weights (target, source) in float64 of a resize along one axis, and the sum of each row."""
    new, old = torch.arange(target)[:, None], torch.arange(source)[None, :]
    if target < source:
        # New pixel i covers [i * source, (i + 1) * source) and old pixel j covers [j * target, (j + 1) * target).
        end = torch.minimum((new + 1) * source, (old + 1) * target)
        start = torch.maximum(new * source, old * target)
        return (end - start).clamp(min=0).double(), source
    # The centre of new pixel i lies ((2 * i + 1) * source - target) / (2 * target) old pixels from the first centre.
    total = 2 * target
    position = ((2 * new + 1) * source - target).clamp(0, total * (source - 1))
    return (total - (position - total * old).abs()).clamp(min=0).double(), total
