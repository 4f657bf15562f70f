"""Requests and releases as Flower records, and back."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from fedgan.federation.requests import Arrays, Description, EmbedRequest, Refusal, Release, TrainRequest

Payload = TypeVar("Payload", Description, EmbedRequest, TrainRequest, Release)

_ARRAYS = "arrays"
_FIELDS = "fields"
_REFUSAL = "refusal"


def to_records(payload: Description | EmbedRequest | TrainRequest | Release) -> RecordDict:
    """Return `payload` as one record of scalars and, where it has arrays, one flat record of arrays."""
    scalars: dict[str, Any] = {}
    records = RecordDict()
    for entry in fields(payload):
        value = getattr(payload, entry.name)
        if entry.name == _ARRAYS:
            records[_ARRAYS] = ArrayRecord({name: Array(array) for name, array in value.items()})
        else:
            scalars[entry.name] = list(value) if isinstance(value, tuple) else value
    records[_FIELDS] = ConfigRecord(scalars)
    return records


def from_records(kind: type[Payload], records: RecordDict) -> Payload:
    """Return the `kind` that `records` holds.

    Raises:
        ValueError: a field is missing, has another type, or an array does not decode; it names the field alone.
    """
    try:
        scalars = dict(records[_FIELDS])
        values: dict[str, Any] = {}
        for entry in fields(kind):
            if entry.name == _ARRAYS:
                values[_ARRAYS] = _arrays(records[_ARRAYS])
            else:
                values[entry.name] = _typed(entry.name, str(entry.type), scalars[entry.name])
        return kind(**values)
    except KeyError as error:
        raise ValueError(f"{error.args[0]} is missing") from None


def refusal_records(code: str) -> RecordDict:
    """Return the reply of a vault that declines with `code`."""
    return RecordDict({_REFUSAL: ConfigRecord({"code": code})})


def refusal_code(records: RecordDict) -> str | None:
    """Return the code of a refusal, or None if `records` is no refusal; text of a client's own making is not kept."""
    record = records.get(_REFUSAL)
    if not isinstance(record, ConfigRecord):
        return None
    code = dict(record).get("code")
    return code if isinstance(code, str) and code in Refusal.CODES else "refused for an unknown reason"


def _arrays(record: Any) -> Arrays:
    if not isinstance(record, ArrayRecord):
        raise ValueError("arrays is no record of arrays")
    arrays: Arrays = {}
    for name, array in record.items():
        if array.stype != "numpy.ndarray":
            raise ValueError(f"array {quoted(name)} is no NumPy array")
        try:
            decoded = array.numpy()  # flwr loads with allow_pickle=False
        except Exception:  # whatever bytes of a stranger's making do to the reader of .npy files
            raise ValueError(f"array {quoted(name)} does not decode") from None
        if not isinstance(decoded, np.ndarray) or decoded.dtype != np.float32:
            raise ValueError(f"array {quoted(name)} is not float32")
        arrays[name] = decoded
    return arrays


def quoted(name: str) -> str:
    """Return a name that a stranger gave, safe to print and short."""
    return repr(name)[:80]


def _typed(name: str, annotation: str, value: Any) -> Any:
    if annotation.startswith("tuple"):
        if isinstance(value, list) and [type(item).__name__ for item in value] == annotation[6:-1].split(", "):
            return tuple(value)
    elif type(value).__name__ == annotation:
        return value
    raise ValueError(f"{name} is no {annotation}")
