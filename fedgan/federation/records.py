"""Requests and releases as Flower records, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from numpy.typing import NDArray

from fedgan.federation.compression import COMPRESSIONS, less, pack, packed_bytes, plus, unpack
from fedgan.federation.requests import Arrays, Description, EmbedRequest, Refusal, Release, TrainRequest, quoted

Payload = TypeVar("Payload", Description, EmbedRequest, TrainRequest, Release)

_ARRAYS = "arrays"
_FIELDS = "fields"
_REFUSAL = "refusal"
_COMPRESSION = "compression"
_FRAME_BYTES = 256  # of one .npy header, at most
_NUMBER_BYTES = 8


@dataclass(frozen=True)
class Question:
    """How the releases that answer a request are to be read.

    Attributes:
        compression: in which they travel.
        expected: shape of every array of an answer, by name.
        base: what went out, where answers come back as updates of it.
    """

    compression: str
    expected: Mapping[str, tuple[int, ...]]
    base: Arrays = field(default_factory=dict, repr=False)

    @property
    def most_bytes(self) -> int:
        """Bytes of the arrays of an answer at most, each with a header, and with "int8" its scales with another."""
        return packed_bytes(self.expected.values(), self.compression) + 2 * _FRAME_BYTES * len(self.expected)


def question_of(request: EmbedRequest | TrainRequest, expected: Mapping[str, tuple[int, ...]]) -> Question:
    """Return how the answers to `request`, which hold arrays of the shapes `expected`, are to be read."""
    return Question(request.compression, expected, _base(request))


def to_records(
    payload: Description | EmbedRequest | TrainRequest | Release, answers: EmbedRequest | TrainRequest | None = None
) -> RecordDict:
    """Return `payload` as one record of scalars and, where it has arrays, one flat record of arrays.

    Args:
        payload: a request says itself how its arrays travel.
        answers: the request that a release answers, which says it for the release; None sends it as it is.

    Raises:
        ValueError: an array has values that the compression cannot hold.
    """
    scalars: dict[str, Any] = {}
    records = RecordDict()
    for entry in fields(payload):
        value = getattr(payload, entry.name)
        if entry.name == _ARRAYS:
            compression = getattr(answers or payload, _COMPRESSION, "none")
            packed = pack(less(value, _base(answers)) if answers else value, compression)
            records[_ARRAYS] = ArrayRecord({name: Array(array) for name, array in packed.items()})
        else:
            scalars[entry.name] = list(value) if isinstance(value, tuple) else value
    records[_FIELDS] = ConfigRecord(scalars)
    return records


def from_records(kind: type[Payload], records: RecordDict, question: Question | None = None) -> Payload:
    """Return the `kind` that `records` holds.

    Args:
        kind: what is read.
        records: what came.
        question: what a release answers; None reads one that was sent as it is.

    Raises:
        ValueError: a field is missing, has another type, an array does not decode or is not of the compression that
            was asked for, or there is more than was asked for; it names the field alone.
    """
    try:
        scalars = dict(records[_FIELDS])
        if _COMPRESSION in kind.__dataclass_fields__:
            compression = _compression(scalars[_COMPRESSION])
        else:
            compression = question.compression if question else "none"
        values: dict[str, Any] = {}
        for entry in fields(kind):
            if entry.name == _ARRAYS:
                values[_ARRAYS] = _arrays(records[_ARRAYS], compression, question)
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


def count_bytes(records: RecordDict) -> int:
    """Return the bytes of `records` on their way: serialised arrays and scalars with their names, without framing."""
    total = 0
    for record in records.values():
        for name, value in record.items():
            total += len(name) + (len(value.data) if isinstance(value, Array) else _scalar_bytes(value))
    return total


def _scalar_bytes(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_scalar_bytes, value))
    return len(value.encode()) if isinstance(value, str) else len(value) if isinstance(value, bytes) else _NUMBER_BYTES


def _compression(value: Any) -> str:
    if not isinstance(value, str) or value not in COMPRESSIONS:
        raise ValueError(f"{_COMPRESSION} is none of {', '.join(COMPRESSIONS)}")
    return value


def _base(request: EmbedRequest | TrainRequest) -> Arrays:
    """Return the arrays from which updates are reckoned: none where nothing is rounded, as differences round too."""
    return request.arrays if isinstance(request, TrainRequest) and request.compression != "none" else {}


def _arrays(record: Any, compression: str, question: Question | None) -> Arrays:
    """Return the arrays in `record`; what is too large is refused before it is decoded."""
    if not isinstance(record, ArrayRecord):
        raise ValueError("arrays is no record of arrays")
    if question and (size := sum(len(array.data) for array in record.values())) > question.most_bytes:
        raise ValueError(f"{size} bytes of arrays, over {question.most_bytes}")
    arrays = unpack(_decoded(record), compression)
    return plus(arrays, question.base) if question else arrays


def _decoded(record: ArrayRecord) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for name, array in record.items():
        if array.stype != "numpy.ndarray":
            raise ValueError(f"array {quoted(name)} is no NumPy array")
        try:
            decoded = array.numpy()  # flwr loads with allow_pickle=False
        except Exception:  # whatever bytes of a stranger's making do to the reader of .npy files
            raise ValueError(f"array {quoted(name)} does not decode") from None
        if not isinstance(decoded, np.ndarray):
            raise ValueError(f"array {quoted(name)} is no single array")
        arrays[name] = decoded
    return arrays


def _typed(name: str, annotation: str, value: Any) -> Any:
    if annotation.startswith("tuple"):
        if isinstance(value, list) and [type(item).__name__ for item in value] == annotation[6:-1].split(", "):
            return tuple(value)
    elif type(value).__name__ == annotation:
        return value
    raise ValueError(f"{name} is no {annotation}")
