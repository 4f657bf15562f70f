from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.nn import functional

from fedgan.data.image_format import ImageFormat


def random_bytes(*shape: int) -> Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_nothing_asked_for_changes_nothing() -> None:
    images = random_bytes(3, 3, 12, 12)
    assert torch.equal(ImageFormat().apply(images), images)
    assert torch.equal(ImageFormat(12, 3).apply(images), images)


@pytest.mark.parametrize(("height", "width", "top", "left"), [(20, 12, 4, 0), (12, 17, 0, 2)])
def test_images_are_cropped_to_the_central_square(height: int, width: int, top: int, left: int) -> None:
    images = random_bytes(2, 1, height, width)
    assert torch.equal(ImageFormat().apply(images), images[:, :, top : top + 12, left : left + 12])


def test_whole_ratios_average_blocks() -> None:
    images = random_bytes(4, 3, 32, 32)
    blocks = images.double().view(4, 3, 8, 4, 8, 4).mean(dim=(3, 5))
    assert torch.equal(ImageFormat(8).apply(images), blocks.round().to(torch.uint8))


@pytest.mark.parametrize(("source", "target"), [(105, 28), (28, 16), (33, 32), (178, 64)])
def test_shrinking_averages_the_area_that_a_pixel_covers(source: int, target: int) -> None:
    image = random_bytes(1, 1, source, source)
    # With every old pixel cut into target x target equal parts, a new pixel is a block of source x source parts.
    parts = image[0, 0].double().repeat_interleave(target, 0).view(target, source, source).mean(dim=1)
    parts = parts.repeat_interleave(target, 1).view(target, target, source).mean(dim=2)
    difference = ImageFormat(target).apply(image)[0, 0].double() - parts
    assert difference.abs().max().item() <= 0.5 + 1e-9


def test_shrinking_agrees_with_pillows_box_filter_at_whole_ratios() -> None:
    image = random_bytes(1, 1, 48, 48)
    box = np.asarray(Image.fromarray(image[0, 0].numpy()).resize((16, 16), Image.Resampling.BOX)).astype(int)
    # Pillow rounds after each axis.
    assert np.abs(ImageFormat(16).apply(image)[0, 0].numpy().astype(int) - box).max() <= 1


def test_shrinking_weighs_by_the_area_covered() -> None:
    row = torch.tensor([0, 90, 180], dtype=torch.uint8)
    image = row.expand(1, 1, 3, 3).contiguous()
    # The first of two new pixels covers all of old pixel 0 and half of pixel 1.
    assert ImageFormat(2).apply(image)[0, 0].tolist() == [[30, 150], [30, 150]]


@pytest.mark.parametrize(("source", "target"), [(8, 16), (8, 28), (28, 32), (31, 64)])
def test_enlarging_is_bilinear(source: int, target: int) -> None:
    images = random_bytes(2, 1, source, source)
    oracle = functional.interpolate(images.float(), size=(target, target), mode="bilinear", align_corners=False)
    difference = ImageFormat(target).apply(images).float() - oracle
    assert difference.abs().max().item() <= 0.501


@settings(deadline=None)
@given(
    source=st.integers(1, 70),
    target=st.integers(1, 70),
    level=st.integers(0, 255),
    channels=st.sampled_from([(1, 0), (1, 1), (1, 3), (3, 0), (3, 1), (3, 3)]),
)
def test_a_flat_image_stays_flat(source: int, target: int, level: int, channels: tuple[int, int]) -> None:
    given_channels, asked = channels
    images = torch.full((2, given_channels, source, source), level, dtype=torch.uint8)
    converted = ImageFormat(target, asked).apply(images)
    assert converted.shape == (2, asked or given_channels, target, target)
    assert converted.dtype == torch.uint8
    assert converted.unique().tolist() == [level]


def test_luminance_of_colours() -> None:
    primaries = (torch.eye(3) * 255).to(torch.uint8).view(3, 3, 1, 1).expand(3, 3, 8, 8)
    grey = ImageFormat(channels=1).apply(primaries)
    assert grey.shape == (3, 1, 8, 8)
    assert grey[:, 0, 0, 0].tolist() == [76, 150, 29]


def test_grey_is_repeated() -> None:
    images = random_bytes(2, 1, 8, 8)
    assert torch.equal(ImageFormat(channels=3).apply(images), images.repeat(1, 3, 1, 1))


def test_float_images_keep_range_and_dtype() -> None:
    images = torch.rand((3, 3, 13, 13), generator=torch.Generator().manual_seed(0)) * 2 - 1
    for size in (8, 13, 20):
        converted = ImageFormat(size, 1).apply(images)
        assert converted.dtype == torch.float32
        assert converted.abs().max().item() <= 1
    area = images[:, :, :12, :12].reshape(3, 3, 4, 3, 4, 3).mean(dim=(3, 5))
    torch.testing.assert_close(ImageFormat(4).apply(images[:, :, :12, :12]), area)


def test_an_image_does_not_depend_on_its_neighbours() -> None:
    images = random_bytes(2500, 1, 10, 10)
    together = ImageFormat(8).apply(images)
    assert len(together) == 2500
    assert torch.equal(together[2048:2049], ImageFormat(8).apply(images[2048:2049]))


def test_no_images_are_no_images() -> None:
    assert ImageFormat(8, 3).apply(torch.zeros(0, 1, 10, 10, dtype=torch.uint8)).shape == (0, 3, 8, 8)
