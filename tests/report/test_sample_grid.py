import numpy as np
import pytest
import torch
from PIL import Image

from fedgan.report.sample_grid import GAP, PAPER, READABLE, sample_grid


def read(path):
    return np.asarray(Image.open(path))


def tile_of(picture, geometry, row, column):
    top, left = geometry.corner(row, column)
    return picture[top : top + geometry.tile[0], left : left + geometry.tile[1]]


def noise(count, shape=(1, 8, 8)):
    return torch.rand((count, *shape), generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_every_pixel_of_every_image_is_where_the_geometry_says(tmp_path):
    images, labels = noise(6), torch.tensor([2, 0, 1, 2, 0, 1])
    geometry = sample_grid(images, labels, 3, tmp_path / "grid.png", columns=2)
    picture = read(tmp_path / "grid.png")
    assert picture.shape == (*geometry.size, 3)
    scale = geometry.tile[0] // 8
    for row in range(3):
        for column, image in enumerate(images[labels == row]):
            expected = ((image[0] + 1) * 127.5).round().numpy().astype(np.uint8)
            tile = tile_of(picture, geometry, row, column)
            assert tile.shape == (8 * scale, 8 * scale, 3)
            for channel in range(3):
                np.testing.assert_array_equal(tile[::scale, ::scale, channel], expected)
                np.testing.assert_array_equal(tile[..., channel], np.kron(expected, np.ones((scale, scale), np.uint8)))


def test_tiles_are_separated_by_paper(tmp_path):
    geometry = sample_grid(torch.ones(8, 1, 8, 8), torch.arange(8) % 2, 2, tmp_path / "grid.png", columns=4)
    picture = read(tmp_path / "grid.png")[:, geometry.margin :]
    drawn = (picture != PAPER).any(axis=2)
    height, width = geometry.tile
    period_down, period_right = height + GAP, width + GAP
    assert drawn.shape == (GAP + 2 * period_down, GAP + 4 * period_right)
    # Removing the gaps leaves exactly the tiles.
    assert not drawn[np.arange(drawn.shape[0]) % period_down < GAP].any()
    assert not drawn[:, np.arange(drawn.shape[1]) % period_right < GAP].any()
    assert drawn.sum() == 8 * height * width


def test_a_class_with_few_images_leaves_blanks(tmp_path):
    geometry = sample_grid(torch.ones(3, 1, 8, 8), torch.tensor([0, 0, 2]), 3, tmp_path / "grid.png", columns=2)
    picture = read(tmp_path / "grid.png")
    filled = [[(tile_of(picture, geometry, r, c) == 255).all() for c in range(2)] for r in range(3)]
    assert filled == [[True, True], [False, False], [True, False]]
    assert (tile_of(picture, geometry, 1, 0) == PAPER).all()


@pytest.mark.parametrize(("side", "scale"), [(8, 7), (28, 2), (64, 1)])
def test_small_images_are_enlarged_until_they_can_be_read(tmp_path, side, scale):
    geometry = sample_grid(noise(2, (1, side, side)), torch.arange(2), 2, tmp_path / "grid.png")
    assert geometry.tile == (side * scale, side * scale)
    assert READABLE <= geometry.tile[0] < READABLE + side


def test_colours_are_kept_and_values_outside_the_range_are_clipped(tmp_path):
    image = torch.tensor([1.0, -1.0, 5.0])[None, :, None, None].expand(1, 3, 8, 8)
    geometry = sample_grid(image, torch.zeros(1), 1, tmp_path / "grid.png")
    assert (tile_of(read(tmp_path / "grid.png"), geometry, 0, 0) == [255, 0, 255]).all()


def test_names_stand_left_of_their_rows(tmp_path):
    names = ["no", "a much longer name"]
    numbered = sample_grid(noise(2), torch.arange(2), 2, tmp_path / "numbered.png")
    named = sample_grid(noise(2), torch.arange(2), 2, tmp_path / "named.png", class_names=names)
    assert named.margin > numbered.margin
    margin = read(tmp_path / "named.png")[:, : named.margin]
    inked = (margin != PAPER).any(axis=2)
    for row in range(2):
        top, _ = named.corner(row, 0)
        assert inked[top : top + named.tile[0]].any()
    # Right-aligned: the short name leaves the left half of the margin free.
    assert not inked[: named.corner(1, 0)[0], : named.margin // 2].any()


def test_of_many_classes_the_first_are_drawn(tmp_path):
    geometry = sample_grid(noise(100), torch.arange(100), 100, tmp_path / "grid.png", max_rows=7)
    assert geometry.rows == 7


def test_the_folder_is_made_and_no_half_file_is_left(tmp_path):
    path = tmp_path / "samples" / "round-00010.png"
    sample_grid(noise(2), torch.arange(2), 2, path)
    first = path.read_bytes()
    sample_grid(noise(2), torch.arange(2), 2, path)
    assert path.read_bytes() == first
    assert [file.name for file in path.parent.iterdir()] == [path.name]
