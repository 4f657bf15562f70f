"""The ladder of resolutions that the convolutional families climb."""

from __future__ import annotations

import pytest

from fedgan.models.shapes import channel_ladder, doublings, halvings


@pytest.mark.parametrize(("side", "first"), [(8, 2), (12, 3), (16, 4), (24, 3), (28, 7), (32, 4), (44, 11), (64, 4)])
def test_doubling_the_first_map_gives_the_side_exactly(side: int, first: int) -> None:
    assert first * 2 ** doublings(side) == side


@pytest.mark.parametrize("side", range(8, 65, 4))
def test_halving_ends_at_two_or_three_pixels(side: int) -> None:
    assert side >> halvings(side) in (2, 3)


def test_channels_double_twice() -> None:
    assert channel_ladder(5, 5) == [5, 10, 20, 20, 20]
