"""Packed arrays come back within the rounding that is stated, no closer by accident, and from nobody's bad bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fedgan.federation.compression import BLOCK, less, pack, packed_bytes, plus, rounding_std, unpack
from fedgan.federation.embeddings import Embeddings
from fedgan.federation.requests import Release

SHAPES = [(), (1,), (BLOCK,), (BLOCK + 1,), (3, 4, 5), (2, BLOCK), (0, 4), (7, 0)]
LOSSY = ["float16", "int8"]


def there_and_back(array: Any, compression: str) -> np.ndarray:
    return unpack(pack({"x": np.asarray(array, np.float32)}, compression), compression)["x"]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def scales_of(array: np.ndarray) -> np.ndarray:
    """The slow, obvious way: the scale of each value's block, shaped like the array."""
    flat = array.astype(np.float64).ravel()
    scales = [np.abs(flat[index - index % BLOCK :][:BLOCK]).max() / 127 for index in range(flat.size)]
    return np.reshape(scales, array.shape)


@pytest.mark.parametrize("size", [1e-6, 1.0, 3000.0])
@pytest.mark.parametrize("compression", LOSSY)
def test_the_deviation_of_the_rounding_is_that_of_what_comes_back(compression: str, size: float) -> None:
    """Over values of many sizes, as sums of counts and of products are."""
    array = size * normal(40, 3 * BLOCK + 7) * np.exp2(normal(40, 1, seed=1))
    found = there_and_back(array, compression)
    assert rounding_std(found, compression) == pytest.approx(float(np.sqrt(np.square(found - array).mean())), rel=0.05)


def test_what_is_not_rounded_has_no_deviation() -> None:
    assert rounding_std(normal(9), "none") == 0.0
    assert [rounding_std(np.zeros(size, np.float32), "int8") for size in (0, 9)] == [0.0, 0.0]
    assert 0 < rounding_std(np.zeros(9, np.float32), "float16") < 2**-24


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("compression", ["none", *LOSSY])
def test_shapes_and_dtypes_come_back(shape: tuple[int, ...], compression: str) -> None:
    for array in (normal(*shape), np.zeros(shape, np.float32)):
        found = there_and_back(array, compression)
        assert found.dtype == np.float32
        assert found.shape == shape
        np.testing.assert_allclose(found, array, rtol=1e-3, atol=0.02 if compression == "int8" else 1e-7)
        if not array.any() or compression == "none":
            np.testing.assert_array_equal(found, array)


@given(arrays(np.float32, array_shapes(max_dims=2, max_side=40), elements=st.floats(-(2.0**126), 2.0**126, width=32)))
def test_int8_is_within_half_a_scale(array: np.ndarray) -> None:
    error = np.abs(there_and_back(array, "int8").astype(np.float64) - array)
    assert (error <= 0.5001 * scales_of(array) + 1e-44).all()  # the smallest scale is 1.4e-45


@given(arrays(np.float32, array_shapes(max_dims=2, max_side=40), elements=st.floats(-65504, 65504, width=32)))
def test_float16_is_within_its_eleven_bits(array: np.ndarray) -> None:
    error = np.abs(there_and_back(array, "float16").astype(np.float64) - array)
    assert (error <= np.maximum(np.abs(array.astype(np.float64)) / 2048, 2.0**-25)).all()


def test_the_bounds_are_reached() -> None:
    """Errors are uniform over a step: rounding to the nearest, with as many levels as there are and no fewer."""
    array = normal(100 * BLOCK)
    steps = (there_and_back(array, "int8").astype(np.float64) - array) / scales_of(array)
    assert 0.49 < np.abs(steps).max() <= 0.5001
    assert np.std(steps) == pytest.approx(1 / np.sqrt(12), rel=0.02)
    assert np.mean(steps) == pytest.approx(0.0, abs=0.005)
    array = array[np.abs(array) > 0.01]  # below, float16 has fewer digits
    relative = np.abs(there_and_back(array, "float16").astype(np.float64) - array) / np.abs(array)
    assert 0.45 / 1024 < relative.max() <= 0.5 / 1024


def test_the_largest_of_a_block_is_exact_and_blocks_do_not_coarsen_each_other() -> None:
    array = np.concatenate([np.full(BLOCK, 1e-6, np.float32), np.full(BLOCK, -1e6, np.float32)])
    np.testing.assert_allclose(there_and_back(array, "int8"), array, rtol=1e-6)


@pytest.mark.parametrize("compression", LOSSY)
def test_the_same_arrays_make_the_same_bytes(compression: str) -> None:
    first, again = (pack({"x": normal(3, 700)}, compression) for _ in range(2))
    assert first.keys() == again.keys()
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)


@pytest.mark.parametrize("compression", ["none", *LOSSY])
def test_bytes_are_as_said(compression: str) -> None:
    given_arrays = {str(index): normal(*shape) for index, shape in enumerate(SHAPES)}
    packed = pack(given_arrays, compression)
    assert sum(array.nbytes for array in packed.values()) == packed_bytes(SHAPES, compression)


def test_int8_takes_a_quarter() -> None:
    shapes = [(5000, 1000), (1000,)]
    ratio = packed_bytes(shapes, "none") / packed_bytes(shapes, "int8")
    assert ratio == pytest.approx(4 / (1 + 4 / BLOCK), rel=1e-3)
    assert packed_bytes(shapes, "none") / packed_bytes(shapes, "float16") == 2


@pytest.mark.parametrize("compression", LOSSY)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_what_cannot_be_held_is_refused(compression: str, value: float) -> None:
    arrays_given = {"good": normal(3), "bad": np.array([0.0, value], np.float32)}
    with pytest.raises(ValueError, match=f"^array bad has values that {compression} cannot hold$"):
        pack(arrays_given, compression)


def test_float16_refuses_what_would_become_infinite() -> None:
    assert there_and_back([65504.0], "float16") == 65504
    with pytest.raises(ValueError, match="float16 cannot hold"):
        pack({"x": np.array([65505.0], np.float32)}, "float16")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": normal(3, 2)}, "array 'x' is not int8"),
        ({"x": np.zeros((3, 2), np.uint8)}, "array 'x' is not int8"),
        ({"scale/x": None}, "array 'x' has no scales"),
        ({"scale/x": np.ones(2, np.float32)}, r"the scales of array 'x' are float32 of shape \(2,\)"),
        ({"scale/x": np.ones((1, 1), np.float32)}, r"the scales of array 'x' are float32 of shape \(1, 1\)"),
        ({"scale/x": np.ones(1, np.float64)}, "the scales of array 'x' are float64"),
        ({"scale/x": np.array([np.nan], np.float32)}, "a scale of array 'x' is not finite or below 0"),
        ({"scale/x": np.array([np.inf], np.float32)}, "a scale of array 'x' is not finite or below 0"),
        ({"scale/x": np.array([-1.0], np.float32)}, "a scale of array 'x' is not finite or below 0"),
        ({"scale/\x1by": np.ones(1, np.float32)}, r"array 'scale/\\x1by' belongs to no array"),
    ],
)
def test_a_strangers_int8_is_looked_at(change: dict[str, Any], message: str) -> None:
    packed = {**pack({"x": normal(3, 2)}, "int8"), **change}
    with pytest.raises(ValueError, match=f"^{message}"):
        unpack({name: array for name, array in packed.items() if array is not None}, "int8")


@pytest.mark.parametrize(
    ("sent", "read"), [(sent, read) for sent in ("none", *LOSSY) for read in ("none", *LOSSY) if sent != read]
)
def test_another_compression_than_was_asked_for_is_refused(sent: str, read: str) -> None:
    with pytest.raises(ValueError, match=r"^array 'x' is not "):
        unpack(pack({"x": normal(3)}, sent), read)


def test_a_scale_that_overflows_makes_infinities_which_every_check_of_arrays_sees() -> None:
    packed = {**pack({"x": normal(3)}, "int8"), "scale/x": np.array([3e38], np.float32)}
    assert not np.isfinite(unpack(packed, "int8")["x"]).all()


def test_updates_are_taken_and_put_back_where_there_is_a_base() -> None:
    base = {"network/w": normal(4, seed=1), "other": normal(2)}
    arrays_given = {"network/w": normal(4), "embedding": normal(3)}
    update = less(arrays_given, base)
    np.testing.assert_array_equal(update["network/w"], arrays_given["network/w"] - base["network/w"])
    np.testing.assert_array_equal(update["embedding"], arrays_given["embedding"])
    restored = plus(update, base)
    assert restored.keys() == arrays_given.keys()
    np.testing.assert_allclose(restored["network/w"], arrays_given["network/w"], atol=1e-6)
    misshapen = {"network/w": normal(5)}
    assert plus(misshapen, base)["network/w"] is misshapen["network/w"]


@pytest.mark.privacy
def test_the_rounding_of_a_sum_without_noise_is_not_told() -> None:
    """At level "client" the sums are clipped and get their noise at the server: their rounding would tell of them."""
    for size, own_noise, told in ((0.1, 0.0, False), (30.0, 0.0, False), (30.0, 2.0, True)):
        sums = Embeddings(torch.zeros(2, 40, dtype=torch.float64), compression="int8")
        release = Release("00000", 0, {"embedding": normal(80).reshape(2, 40) * size}, noise_std=own_noise)
        sums.add([release], {}, {"00000": 9}, whole_clients=not told)
        assert (sums.noise_std > own_noise) == told
