from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedgan.data.image_files import read_images
from fedgan.data.image_format import ImageFormat
from fedgan.errors import UsageError


def encoded(image: Image.Image, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format="PNG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, [255]),
        ("L", 77, [77]),
        ("LA", (77, 10), [77]),
        ("RGB", (1, 2, 3), [1, 2, 3]),
        ("RGBA", (1, 2, 3, 0), [1, 2, 3]),
        ("I;16", 257 * 77, [77]),
    ],
)
def test_modes(mode: str, colour: object, expected: list[int]) -> None:
    images = read_images([("a.png", encoded(Image.new(mode, (9, 9), colour)))], ImageFormat())  # type: ignore[arg-type]
    assert images.shape == (1, len(expected), 9, 9)
    assert images[0, :, 4, 4].tolist() == expected


def test_palettes_are_looked_up() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    assert read_images([("p.png", encoded(image))], ImageFormat())[0, :, 0, 0].tolist() == [200, 100, 50]


def test_paths_and_bytes_give_the_same_images(tmp_path: Path) -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    content = encoded(Image.fromarray(pixels))
    (tmp_path / "a.png").write_bytes(content)
    images = read_images([("a", tmp_path / "a.png"), ("b", content)], ImageFormat())
    assert images[0, 0].tolist() == pixels.tolist()
    assert images[1, 0].tolist() == pixels.tolist()


def test_orientation_of_a_photograph_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    image = Image.new("L", (8, 8), 0)
    image.putpixel((0, 0), 255)
    images = read_images([("turned.png", encoded(image, exif=exif))], ImageFormat())
    assert images[0, 0, 7, 7].item() == 255
    assert images[0, 0, 0, 0].item() == 0


def test_images_of_two_sizes_need_a_size() -> None:
    files = [("a.png", encoded(Image.new("L", (8, 8)))), ("b.png", encoded(Image.new("L", (12, 20))))]
    with pytest.raises(UsageError, match=r"data\.image_size.*b\.png"):
        read_images(files, ImageFormat())
    assert read_images(files, ImageFormat(8)).shape == (2, 1, 8, 8)


def test_order_is_kept_over_runs_of_sizes_and_lengths() -> None:
    sizes = [8] * 300 + [9, 8, 9, 9]
    files = [(str(index), encoded(Image.new("L", (size, size), index % 251))) for index, size in enumerate(sizes)]
    images = read_images(files, ImageFormat(8))
    assert images[:, 0, 4, 4].tolist() == [index % 251 for index in range(304)]


def test_grey_and_colour_need_a_number_of_channels() -> None:
    files = [("a.png", encoded(Image.new("L", (8, 8)))), ("b.png", encoded(Image.new("RGB", (8, 8))))]
    with pytest.raises(UsageError, match=r"data\.channels.*b\.png"):
        read_images(files, ImageFormat())
    assert read_images(files, ImageFormat(channels=3)).shape == (2, 3, 8, 8)


def test_damaged_files_are_named() -> None:
    whole = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)))
    for content in (b"", b"text", whole[:200], whole[:60] + b"\0" * 20 + whole[80:]):
        with pytest.raises(UsageError, match=r"data\.root.*scan\.png"):
            read_images([("scan.png", content)], ImageFormat())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.root.*gone\.png"):
        read_images([("gone.png", tmp_path / "gone.png")], ImageFormat())


def test_pixels_of_unknown_range_are_refused() -> None:
    buffer = BytesIO()
    Image.new("F", (8, 8), 0.5).save(buffer, format="TIFF")
    with pytest.raises(UsageError, match=r"depth\.tif.*32 bits"):
        read_images([("depth.tif", buffer.getvalue())], ImageFormat())
