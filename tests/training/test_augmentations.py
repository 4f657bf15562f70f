"""Every augmentation works row by row and passes gradients; and each does what its name says."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fedgan.errors import UsageError
from fedgan.training.augmentation import AUGMENTATIONS, choose_augmentations

NAMES = AUGMENTATIONS.names()


def images(count: int = 6, channels: int = 3, side: int = 12) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def apply(name: str, pixels: Tensor, *numbers: float) -> Tensor:
    return AUGMENTATIONS[name].apply(pixels, torch.tensor([numbers] * len(pixels)))


def test_the_four_of_the_paper_are_there() -> None:
    assert NAMES == ["colour", "cutout", "flip", "translation"]
    assert choose_augmentations("") == ()
    assert choose_augmentations("flip, cutout") == (AUGMENTATIONS["flip"], AUGMENTATIONS["cutout"])
    with pytest.raises(UsageError, match=r"training\.augmentation = 'color' is unknown: did you mean 'colour'"):
        choose_augmentations("flip,color")


@pytest.mark.privacy
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_row_depends_on_itself_alone(name: str, channels: int) -> None:
    pixels = images(channels=channels)
    numbers = torch.rand(6, AUGMENTATIONS[name].draws, generator=torch.Generator().manual_seed(2))
    whole = AUGMENTATIONS[name].apply(pixels, numbers)
    assert whole.shape == pixels.shape
    assert not torch.equal(whole, pixels)
    for row in range(6):
        one = AUGMENTATIONS[name].apply(pixels[row : row + 1], numbers[row : row + 1])
        torch.testing.assert_close(one[0], whole[row], rtol=0, atol=1e-6)
    assert AUGMENTATIONS[name].apply(pixels[:0], numbers[:0]).shape == (0, channels, 12, 12)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_pass(name: str) -> None:
    pixels = images().double().requires_grad_()
    numbers = torch.rand(6, AUGMENTATIONS[name].draws, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (slope,) = torch.autograd.grad(AUGMENTATIONS[name].apply(pixels, numbers).sum(), pixels)
    assert bool((slope.flatten(1).abs().sum(dim=1) > 0).all())


def test_flip_mirrors_half_of_the_images() -> None:
    pixels = images()
    assert torch.equal(apply("flip", pixels, 0.49), pixels.flip(-1))
    assert torch.equal(apply("flip", pixels, 0.5), pixels)


def test_translation_moves_by_up_to_an_eighth_and_repeats_the_border() -> None:
    pixels = images(side=16)  # up to 2 pixels
    moved = apply("translation", pixels, 0.999, 0.0)  # 2 down, 2 left
    assert torch.equal(moved[:, :, 2:, :-2], pixels[:, :, :-2, 2:])
    assert torch.equal(moved[:, :, 0, :-2], pixels[:, :, 0, 2:])
    assert torch.equal(moved[:, :, 5, -1], pixels[:, :, 3, -1])
    assert torch.equal(apply("translation", pixels, 0.5, 0.5), pixels)


def test_cutout_greys_a_square_of_half_a_side() -> None:
    cut = apply("cutout", images(), 0.5, 0.5)  # centre 6, 6
    hidden = torch.zeros(12, 12, dtype=torch.bool)
    hidden[3:9, 3:9] = True
    assert bool((cut[:, :, hidden] == 0).all())
    assert torch.equal(cut[:, :, ~hidden], images()[:, :, ~hidden])
    corner = apply("cutout", images(), 0.0, 0.0)
    assert int((corner == 0).all(dim=1)[0].sum()) == 9


def test_colour_moves_brightness_saturation_and_contrast() -> None:
    pixels = images()
    assert torch.allclose(apply("colour", pixels, 0.5, 0.5, 0.5), pixels, atol=1e-6)
    assert torch.allclose(apply("colour", pixels, 0.75, 0.5, 0.5), pixels + 0.25, atol=1e-6)
    grey = apply("colour", pixels, 0.5, 0.0, 0.5)
    assert torch.allclose(grey, pixels.mean(dim=1, keepdim=True).expand_as(pixels), atol=1e-6)
    flat = apply("colour", pixels, 0.5, 0.5, 0.0)
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    assert torch.allclose(flat - mean, (pixels - mean) / 2, atol=1e-6)
