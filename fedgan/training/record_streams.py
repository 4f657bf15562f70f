"""Random numbers that belong to a record: a function of the record and of what is public, not of its place in a batch.

Dealt out in order, the numbers of all later records would change when one leaves, and one record could change the
gradients of all others.
"""

from __future__ import annotations

from hashlib import sha256, shake_256

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

KEY = 2
"""Words that name a stream of normals."""


def record_words(name: str, step: int, images: Tensor, labels: Tensor, count: int) -> npt.NDArray[np.uint32]:
    """Return `count` uniform words for each record, (B, count): SHAKE-256 of `name`, `step`, label and image.

    Args:
        name: of the use, so that no two uses share numbers.
        step: drawn from the public stream for each step.
        images: (B, C, H, W), on any device; B may be 0.
        labels: (B,) int64 >= 0.
        count: words for each record.
    """
    prefix = f"{name} {step} ".encode()
    host = images.detach().cpu().contiguous().numpy()  # once, as every record is read on its own
    words = [
        shake_256(prefix + label.to_bytes(8, "big") + sha256(image).digest()).digest(4 * count)
        for image, label in zip(host, labels.tolist(), strict=True)
    ]
    return np.frombuffer(b"".join(words), dtype=np.uint32).reshape(len(host), count)


def uniforms(words: npt.NDArray[np.uint32]) -> Tensor:
    """Return float32 numbers of `words`' shape, multiples of 2^-24 uniform over [0, 1)."""
    return torch.from_numpy((words >> 8).astype(np.float32) * np.float32(2.0**-24))


def normals(words: npt.NDArray[np.uint32], count: int) -> Tensor:
    """Return `count` standard normal float32 numbers for each record, (B, count), seeded by `KEY` of its words."""
    found = torch.empty(len(words), count)
    for row, seed in zip(found, np.ascontiguousarray(words).view(np.uint64)[:, 0].tolist(), strict=True):
        torch.randn(count, generator=torch.Generator().manual_seed(seed >> 1), out=row)
    return found
