"""Requests and releases survive the trip through Flower records; whatever a stranger sends raises ValueError alone."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from fedgan.federation.layout import join, split
from fedgan.federation.records import from_records, refusal_code, refusal_records, to_records
from fedgan.federation.requests import Description, EmbedRequest, Refusal, Release, TrainRequest

ARRAYS = {
    "generator/weight": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "generator/scale": np.float32([[0.5]]),
    "generator/empty": np.zeros((0, 4), np.float32),
}
PAYLOADS = [
    Description("00003", 287, (1, 8, 8), 10),
    EmbedRequest("run", 2100, 2**62),
    TrainRequest("run", 3, 20, 40, 2, ARRAYS),
    Release("00003", 3, ARRAYS, "head", 1.25, 7, 0.5),
]


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: type(payload).__name__)
def test_round_trip(payload: Any) -> None:
    found = from_records(type(payload), to_records(payload))
    for entry in fields(payload):
        sent, received = getattr(payload, entry.name), getattr(found, entry.name)
        if entry.name != "arrays":
            assert type(received) is type(sent)
            assert received == sent
            continue
        assert received.keys() == sent.keys()
        for name, array in sent.items():
            assert received[name].dtype == np.float32
            np.testing.assert_array_equal(received[name], array)


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: type(payload).__name__)
def test_every_missing_field_is_named(payload: Any) -> None:
    for entry in fields(payload):
        records = to_records(payload)
        if entry.name == "arrays":
            del records["arrays"]
        else:
            del records["fields"][entry.name]  # type: ignore[union-attr]
        with pytest.raises(ValueError, match=f"^{entry.name} is missing$"):
            from_records(type(payload), records)


@pytest.mark.parametrize(
    ("payload", "field", "value"),
    [
        (PAYLOADS[0], "records", "287"),
        (PAYLOADS[0], "records", 287.0),
        (PAYLOADS[0], "records", True),
        (PAYLOADS[0], "client", 3),
        (PAYLOADS[0], "client", b"00003"),
        (PAYLOADS[0], "image_shape", [1, 8]),
        (PAYLOADS[0], "image_shape", [1.0, 8.0, 8.0]),
        (PAYLOADS[0], "image_shape", 8),
        (PAYLOADS[3], "noise_std", 1),
        (PAYLOADS[3], "fake_accuracy", "0.5"),
        (PAYLOADS[3], "generator_steps", [1]),
    ],
)
def test_every_wrong_type_is_named(payload: Any, field: str, value: Any) -> None:
    records = to_records(payload)
    records["fields"][field] = value  # type: ignore[index]
    with pytest.raises(ValueError, match=f"^{field} is no "):
        from_records(type(payload), records)


def one_array(data: bytes, entry: Any, name: str = "generator/\x1bweight") -> RecordDict:
    """Return a release whose only array has these bytes and this entry of the layout."""
    records = to_records(PAYLOADS[3])
    records["arrays"] = ArrayRecord({"all": Array("uint8", (len(data),), "bytes", data)})
    records["layout"] = ConfigRecord({name: entry})
    return records


TWELVE = np.zeros(3, np.float32).tobytes()


@pytest.mark.privacy
@pytest.mark.parametrize(
    ("data", "entry"),
    [
        (b"", "float32 3"),
        (TWELVE[:-1], "float32 3"),
        (TWELVE, "float32 4"),
        (TWELVE, "float32 999999999999999 999999999999999"),
        (TWELVE, "float32 9999999999999999"),
        (TWELVE, "float32 -3"),
        (TWELVE, "float32 \u0663"),
        (TWELVE, "float32 3.0"),
        (TWELVE, "float32  3"),
        (TWELVE, "float32 3 "),
        (TWELVE, "float32," + "1" * 300),
        (TWELVE, "float32" + " 1" * 100 + " 3"),
        (TWELVE, "object 3"),
        (TWELVE, ">f4 3"),
        (TWELVE, ""),
        (TWELVE, 3),
        (TWELVE, [3]),
        (TWELVE, b"float32 3"),
        (TWELVE, "float16 6"),
        (TWELVE, "int8 12"),
    ],
)
def test_hostile_arrays_are_refused(data: bytes, entry: Any) -> None:
    with pytest.raises(ValueError, match=r"^array 'generator/\\x1bweight' (does not decode|is n)"):
        from_records(Release, one_array(data, entry))


@pytest.mark.privacy
def test_bytes_that_belong_to_no_array_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^12 bytes of arrays, of which 4 belong to none$"):
        from_records(Release, one_array(TWELVE, "float32 2"))


def test_an_array_of_no_numbers_at_all_reads_as_such() -> None:
    records = to_records(PAYLOADS[3])
    records["arrays"] = ArrayRecord()
    records["layout"] = ConfigRecord({"weight": "float32 0 999"})
    assert from_records(Release, records).arrays["weight"].shape == (0, 999)


@pytest.mark.privacy
@pytest.mark.parametrize(
    "arrays",
    [
        {"weight": Array("uint8", (12,), "bytes", TWELVE)},
        {"all": Array("uint8", (12,), "pickle", TWELVE)},
        {"all": Array(np.zeros(3, np.float32))},
        {"all": Array("uint8", (12,), "bytes", TWELVE), "more": Array("uint8", (12,), "bytes", TWELVE)},
    ],
)
def test_arrays_that_are_no_one_run_of_bytes_are_refused(arrays: dict[str, Array]) -> None:
    records = one_array(TWELVE, "float32 3")
    records["arrays"] = ArrayRecord(arrays)
    with pytest.raises(ValueError, match=r"^arrays is not one run of bytes$"):
        from_records(Release, records)


@given(st.binary(max_size=200), st.text(max_size=30) | st.just("float32 3") | st.just("float32 2 5"))
def test_no_bytes_and_no_layout_crash_the_reader(data: bytes, entry: str) -> None:
    try:
        found = from_records(Release, one_array(data, entry, "weight")).arrays["weight"]
    except ValueError:
        return
    assert found.dtype == np.float32
    assert found.nbytes == len(data)


def test_what_was_read_may_be_written_to() -> None:
    found = from_records(Release, to_records(PAYLOADS[3])).arrays
    found["generator/weight"] += 1
    assert not np.array_equal(found["generator/weight"], ARRAYS["generator/weight"])


@given(st.lists(st.lists(st.integers(0, 4), max_size=3), max_size=4), st.sampled_from(["float32", "float16", "int8"]))
def test_joined_arrays_split_into_the_same(shapes: list[list[int]], dtype: str) -> None:
    arrays = {str(number): np.full(shape, number, dtype) for number, shape in enumerate(shapes)}
    data, layout = join(arrays)
    found = split(data, layout)
    assert join(dict(reversed(arrays.items()))) == (data, layout)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert len(data) == sum(array.nbytes for array in arrays.values())


def test_records_of_the_wrong_kind_are_refused() -> None:
    swapped = to_records(PAYLOADS[3])
    swapped["arrays"] = ConfigRecord({"weight": 1.0})
    with pytest.raises(ValueError, match="arrays is no record of arrays"):
        from_records(Release, swapped)
    flat = to_records(PAYLOADS[3])
    flat["layout"] = ArrayRecord()
    with pytest.raises(ValueError, match="layout is no record of scalars"):
        from_records(Release, flat)
    del flat["layout"]
    with pytest.raises(ValueError, match="layout is missing"):
        from_records(Release, flat)
    with pytest.raises(ValueError, match="fields is missing"):
        from_records(Release, RecordDict())
    with pytest.raises(ValueError, match="client is no str"):
        array = Array(np.zeros(1, np.float32))
        from_records(Description, RecordDict({"fields": ArrayRecord({"client": array})}))


@pytest.mark.parametrize("code", sorted(Refusal.CODES))
def test_refusals_round_trip(code: str) -> None:
    assert refusal_code(refusal_records(code)) == code


def test_no_release_is_read_as_a_refusal() -> None:
    assert all(refusal_code(to_records(payload)) is None for payload in PAYLOADS)


@pytest.mark.parametrize("code", ["", "\x1b[2Jgone", "x" * 10_000, 5, [1, 2]])
def test_text_of_a_clients_own_making_is_not_kept(code: Any) -> None:
    refusal = RecordDict({"refusal": ConfigRecord({"code": code})})
    assert refusal_code(refusal) == "refused for an unknown reason"
    assert refusal_code(RecordDict({"refusal": ConfigRecord()})) == "refused for an unknown reason"
