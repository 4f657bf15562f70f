"""Requests and answers survive the trip over the socket; whatever a stranger writes there raises ValueError alone."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from fedgan.federation.daemon.wire import Asked, decode, encode
from fedgan.federation.requests import Description, EmbedRequest, Release, TrainRequest

ARRAYS = {"discriminator/weight": np.arange(6, dtype=np.float32).reshape(2, 3), "empty": np.zeros((0, 4), np.float32)}
PAYLOADS = [
    Description("00003", 287, (1, 8, 8), 10, '{"line": 1}\n'),
    EmbedRequest("run", 2100, 2**62, 1437),
    TrainRequest("run", 3, 20, 40, 2, ARRAYS, 1437),
    Release("00003", 3, ARRAYS, "head", 1.25, 7, 0.5, "lines\n"),
]
ASKED = Asked({"seed": 1, "privacy.epsilon": 10.0, "data.name": "digits", "flag": True})


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: type(payload).__name__)
def test_round_trip(payload: Any) -> None:
    found, asked = decode(type(payload), encode(payload, ASKED))
    assert asked == ASKED
    for entry in fields(payload):
        sent, received = getattr(payload, entry.name), getattr(found, entry.name)
        if entry.name != "arrays":
            assert type(received) is type(sent)
            assert received == sent
            continue
        assert received.keys() == sent.keys()
        for name, array in sent.items():
            np.testing.assert_array_equal(received[name], array)
            assert received[name].dtype == np.float32


def header(**changes: Any) -> bytes:
    rows = {"run": "run", "features": 8, "feature_seed": 1, "everybody": 0}
    content = {"fields": {**rows, **changes.pop("fields", {})}, "config": {}, **changes}
    return save({}, metadata={"fedgan": json.dumps(content)})


@pytest.mark.parametrize(
    "content",
    [
        header(fields={"features": "8"}),
        header(fields={"features": True}),
        header(fields={"features": 8.0}),
        header(fields={"more": 1}),
        header(config={"data": {"name": "digits"}}),
        header(config=None),
        save({"array": np.zeros(2, np.float32)}, metadata={"fedgan": json.dumps(json.loads("{}"))}),
        save({}),
        encode(PAYLOADS[2], ASKED),
    ],
    ids=["text", "truth", "float", "field", "table", "null", "empty", "bare", "other-kind"],
)
def test_another_form_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"field|config|form|features|arrays"):
        decode(EmbedRequest, content)


def test_arrays_are_float32() -> None:
    content = {"fields": {}, "config": {}}
    with pytest.raises(ValueError, match="not float32"):
        decode(TrainRequest, save({"a": np.zeros(2, np.int64)}, metadata={"fedgan": json.dumps(content)}))


@given(st.binary(max_size=200), st.integers(0, 300))
def test_junk_raises_value_error_alone(junk: bytes, cut: int) -> None:
    whole = encode(PAYLOADS[1], ASKED)
    for content in (junk, whole[:cut], whole[:cut] + junk):
        try:
            found = decode(EmbedRequest, content)
        except ValueError:
            continue
        assert found == (PAYLOADS[1], ASKED)  # the header may be padded
