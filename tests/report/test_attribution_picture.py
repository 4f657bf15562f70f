import numpy as np
import pytest
import torch
from PIL import Image

from fedgan.report.attribution_picture import attribution_picture


def draw(path, pixels, labels=(0,), images=None):
    images = torch.full_like(pixels, -1.0) if images is None else images
    attribution_picture(images, pixels, labels=torch.tensor(labels), scores=torch.zeros(len(pixels)), path=path)
    with Image.open(path) as image:
        image.verify()
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def share_of(picture, strong, weak):
    """Part of the picture, above its scale of colours, where channel `strong` exceeds `weak` by far."""
    return (picture[: int(0.6 * len(picture)), :, strong] - picture[: int(0.6 * len(picture)), :, weak] > 60).mean()


def test_positive_pixels_are_blue_and_negative_ones_red(tmp_path):
    pixels = torch.ones(1, 1, 8, 8)
    blue, red = (draw(tmp_path / "x.png", sign * pixels) for sign in (1, -1))
    assert share_of(blue, 2, 0) > 0.05 > 0.001 > share_of(blue, 0, 2)
    assert share_of(red, 0, 2) > 0.05 > 0.001 > share_of(red, 2, 0)


def test_an_attribution_stands_where_its_pixel_is_and_right_of_its_image(tmp_path):
    pixels, images = torch.zeros(1, 1, 8, 8), torch.full((1, 1, 8, 8), -1.0)
    pixels[0, 0, :2, 4:] = 1.0  # top right
    picture = draw(tmp_path / "x.png", pixels, images=images)
    upper = picture[: int(0.6 * len(picture))]
    rows, columns = np.nonzero(upper[..., 2] - upper[..., 0] > 60)
    dark_rows, dark_columns = np.nonzero(upper.sum(axis=2) < 20)
    height = np.ptp(dark_rows)
    assert columns.min() > dark_columns.max()
    assert rows.min() - dark_rows.min() < 0.1 * height
    assert np.ptp(rows) == pytest.approx(0.25 * height, abs=4)


def test_colour_channels_are_added_up(tmp_path):
    pixels = torch.zeros(1, 3, 8, 8)
    pixels[:, 0], pixels[:, 1], pixels[:, 2] = 0.7, 0.6, -0.3
    pixels[:, :, 4:] *= -1
    summed = pixels.sum(dim=1, keepdim=True)
    assert np.array_equal(draw(tmp_path / "x.png", pixels), draw(tmp_path / "y.png", summed))


def test_nothing_to_show_is_white_and_not_an_error(tmp_path):
    picture = draw(tmp_path / "x.png", torch.zeros(1, 1, 8, 8))
    assert share_of(picture, 2, 0) == share_of(picture, 0, 2) == 0


@pytest.mark.parametrize(("shape", "labels"), [((1, 8, 8), [0]), ((3, 12, 16), [5, 5, 9]), ((1, 16, 8), range(20))])
def test_pictures_of_any_size_hold_every_tile(tmp_path, shape, labels):
    labels = list(labels)
    images = torch.full((len(labels), *shape), -1.0)
    picture = draw(tmp_path / "x.png", torch.zeros_like(images), labels, images)
    width = 0.72 * 130  # of a tile: inches times pixels an inch
    expected = len(labels) * width**2 * shape[1] / shape[2]
    assert (picture.sum(axis=2) < 20).sum() == pytest.approx(expected, rel=0.35)
    assert not (picture[[0, -1]] < 128).any() and not (picture[:, [0, -1]] < 128).any()


def test_equal_explanations_give_equal_bytes_and_no_half_file_is_left(tmp_path):
    pixels = torch.randn((2, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    for name in ("a.png", "b.png"):
        draw(tmp_path / "pictures" / name, pixels, [1, 0])
    assert (tmp_path / "pictures" / "a.png").read_bytes() == (tmp_path / "pictures" / "b.png").read_bytes()
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["a.png", "b.png"]
