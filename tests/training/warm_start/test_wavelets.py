"""Rows of wavelets never exceed norm 1, and scattering tells directions and scales apart."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from fedgan.errors import UsageError
from fedgan.training.warm_start.wavelets import WaveletMap


def stripes(period: int) -> Tensor:
    """Return columns (1, 1, 28, 28) that change every `period` / 2 pixels."""
    across = (torch.arange(28) // (period // 2) % 2) * 2.0 - 1
    return across.expand(1, 1, 28, 28)


def strengths(images: Tensor) -> Tensor:
    """Return the moduli (scale, angle) of an image, averaged over its middle."""
    feature_map = WaveletMap((1, 28, 28), features=2, seed=0)
    fine, coarse = feature_map._moduli(images), feature_map._moduli(avg_pool2d(images, 2))
    return torch.stack([fine[0, :, 8:20, 8:20].mean(dim=(1, 2)), coarse[0, :, 4:10, 4:10].mean(dim=(1, 2))])


def test_waves_answer_to_their_direction_and_scale() -> None:
    upright, lying, wide = (strengths(image) for image in (stripes(4), stripes(4).transpose(2, 3), stripes(8)))
    assert int(upright[0].argmax()) == 0  # waves along columns
    assert int(lying[0].argmax()) == 3  # a quarter turn of six directions
    assert float(upright[0].max()) > 2 * float(wide[0].max())
    assert float(wide[1].max()) > 2 * float(strengths(stripes(2))[1].max())


def test_flat_images_have_no_waves() -> None:
    assert float(strengths(torch.full((1, 1, 28, 28), 0.7)).max()) < 0.02


@pytest.mark.parametrize("features", [0, 7, -2])
def test_odd_numbers_of_features_are_refused(features: int) -> None:
    with pytest.raises(UsageError, match=r"training\.warm_start_features"):
        WaveletMap((1, 8, 8), features=features, seed=0)
