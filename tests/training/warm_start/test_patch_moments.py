"""Sums of patch moments are the first and second moments of patches, and rows never exceed norm 1."""

from __future__ import annotations

from math import sqrt

import pytest
import torch

from fedgan.training.warm_start.patch_moments import PatchMoments
from fedgan.training.warm_start.rows import COUNT_WEIGHT

WEIGHT = sqrt(1 - COUNT_WEIGHT**2)


@pytest.mark.privacy
def test_an_image_of_ones_reaches_norm_one() -> None:
    rows = PatchMoments((2, 14, 21))(torch.ones(1, 2, 14, 21))
    assert 1 - 1e-5 < float(rows.double().norm()) <= 1


def test_rows_hold_means_and_products_of_each_patch() -> None:
    images = torch.rand(1, 1, 14, 7, generator=torch.Generator().manual_seed(0)) * 2 - 1
    feature_map = PatchMoments((1, 14, 7))
    row = feature_map(images)[0, 1:] * sqrt(2 * 2) / WEIGHT
    means = images.reshape(2, 49).mean(dim=1)  # the constant cosine over the root of the pixels
    assert feature_map.dimension == 1 + 2 * (16 + 136)
    torch.testing.assert_close(row[[0, 16]], means, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(row[[32, 32 + 136]], means.square(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(row[33], sqrt(2) * row[0] * row[1], rtol=1e-4, atol=1e-5)


def test_what_is_left_behind_whole_patches_is_part_of_none() -> None:
    images = torch.rand(3, 1, 15, 13)
    expected = PatchMoments((1, 14, 7))(images[:, :, :14, :7])
    assert torch.equal(PatchMoments((1, 15, 13))(images), expected)
