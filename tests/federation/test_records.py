"""Requests and releases survive the trip through Flower records; whatever a stranger sends raises ValueError alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

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


def npy(array: Any) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


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


def stated(data: bytes, stype: str = "numpy.ndarray") -> Array:
    return Array("float32", (3,), stype, data)


def hostile_arrays() -> Iterator[Array]:
    header = npy(np.zeros(3, np.float32))
    pickled = BytesIO()
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    archive = BytesIO()
    np.savez(archive, a=np.zeros(3, np.float32))
    for data in (
        b"",
        b"PK\x03\x04",
        archive.getvalue(),
        header[:-1],
        header[:20],
        header.replace(b"(3,)", b"(9,)"),
        header.replace(b"'descr'", b"'de(cr'"),
        header.replace(b"{", b"("),
        pickled.getvalue(),
        npy(np.array(["text"])),
        npy(np.zeros(3, np.float64)),
        npy(np.zeros(3, ">f4")),
        npy(np.zeros(3, [("x", "f4")])),
        b"\x80\x04N.",
        header.replace(b"(3,)", b"(-3,)"),
    ):
        yield stated(data)
    yield stated(header, stype="pickle")


@pytest.mark.privacy
@pytest.mark.parametrize("array", list(hostile_arrays()))
def test_hostile_arrays_are_refused(array: Array) -> None:
    records = to_records(PAYLOADS[3])
    records["arrays"] = ArrayRecord({"generator/\x1bweight": array})
    with pytest.raises(ValueError, match=r"^array 'generator/\\x1bweight' (does not decode|is n)"):
        from_records(Release, records)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    records = to_records(PAYLOADS[3])
    payload = npy(np.zeros(3, np.float32))
    for content in (data, payload[: len(data)] + data, data + payload):
        records["arrays"] = ArrayRecord({"weight": stated(content)})
        try:
            found = from_records(Release, records).arrays["weight"]
        except ValueError:
            continue
        assert found.dtype == np.float32


def test_records_of_the_wrong_kind_are_refused() -> None:
    swapped = to_records(PAYLOADS[3])
    swapped["arrays"] = ConfigRecord({"weight": 1.0})
    with pytest.raises(ValueError, match="arrays is no record of arrays"):
        from_records(Release, swapped)
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
