"""Feature skew: what clients see differs by as much as is said, and nothing else of their records changes."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from fedgan.data import SKEWS, ImageDataset, skewed
from fedgan.errors import UsageError

CLIENTS = 5


def grey(value: float = 0.2, count: int = 40, dtype: torch.dtype = torch.float32) -> ImageDataset:
    images = torch.full((count, 1, 8, 8), value)
    if dtype == torch.uint8:
        images = ((images + 1) * 127.5).round().to(torch.uint8)
    return ImageDataset(images, torch.arange(count) % 4, 4, torch.arange(count))


def seen(records: ImageDataset, skew: str, client: int, **changes: Any) -> ImageDataset:
    settings: dict[str, Any] = {"strength": 0.5, "clients": CLIENTS, "seed": 3} | changes
    return skewed(records, skew=skew, client=client, **settings)


def test_the_skews_are_the_documented_ones() -> None:
    assert SKEWS.names() == ["contrast", "noise", "rotation"]


def test_an_unknown_skew_is_refused() -> None:
    with pytest.raises(UsageError, match=r"partition\.skew = 'noises' is unknown: did you mean 'noise'"):
        seen(grey(), "noises", 0)


@pytest.mark.parametrize("skew", ["contrast", "noise", "rotation"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_labels_owners_shape_and_dtype_stay(skew: str, dtype: torch.dtype) -> None:
    records = grey(dtype=dtype)
    found = seen(records, skew, 4)
    assert found.images.dtype == dtype and found.image_shape == records.image_shape
    assert torch.equal(found.labels, records.labels) and found.num_classes == 4
    assert found.owners is not None and torch.equal(found.owners, torch.arange(40))


@pytest.mark.parametrize("skew", ["contrast", "noise", "rotation"])
def test_the_same_arguments_give_the_same_images(skew: str) -> None:
    torch.manual_seed(0)
    first = seen(grey(), skew, 3)
    torch.manual_seed(1)
    assert torch.equal(first.images, seen(grey(), skew, 3).images)


def test_noise_grows_evenly_from_client_to_client() -> None:
    for client in range(CLIENTS):
        found = seen(grey(0.0, count=400), "noise", client, strength=0.2)
        wanted = 0.2 * client / (CLIENTS - 1)
        assert float(found.images.std()) == pytest.approx(wanted, rel=0.03, abs=1e-9)
    assert not torch.equal(seen(grey(), "noise", 4).images, seen(grey(), "noise", 4, seed=4).images)


def test_contrast_shrinks_evenly_from_client_to_client() -> None:
    for client in range(CLIENTS):
        found = seen(grey(0.8), "contrast", client)
        torch.testing.assert_close(found.images, torch.full_like(found.images, 0.8 * (1 - 0.5 * client / 4)))


def angle(images: Tensor) -> float:
    """Return the direction, in degrees, of the brightest mass from the centre."""
    weights = (images[0, 0] + 1).double()
    across = torch.arange(weights.shape[1]) - (weights.shape[1] - 1) / 2
    x, y = float((weights.sum(0) * across).sum()), float((weights.sum(1) * across).sum())
    return math.degrees(math.atan2(y, x))


def test_rotation_turns_evenly_from_one_end_to_the_other() -> None:
    """A bright disc to the right of the centre, seen by five clients."""
    rows, columns = torch.meshgrid(torch.arange(32) - 15.5, torch.arange(32) - 15.5, indexing="ij")
    disc = ((rows**2 + (columns - 8) ** 2) < 9).float()[None, None] * 2 - 1
    records = ImageDataset(disc, torch.zeros(1, dtype=torch.int64), 4)
    angles = [angle(seen(records, "rotation", client, strength=1.0).images) for client in range(CLIENTS)]
    steps = [second - first for first, second in pairwise(angles)]
    assert abs(angles[2]) < 1
    assert {round(step / abs(step)) for step in steps} in ({1}, {-1})
    assert all(abs(abs(step) - 45) < 2 for step in steps)


@pytest.mark.parametrize("skew", ["contrast", "noise"])
def test_the_first_client_sees_the_images_as_they_are(skew: str) -> None:
    assert torch.equal(seen(grey(), skew, 0).images, grey().images)


def test_images_stay_in_their_range() -> None:
    found = seen(grey(1.0), "noise", 4, strength=1.0)
    assert -1 <= float(found.images.min()) < 0.5 and float(found.images.max()) == 1
