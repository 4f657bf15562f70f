"""Requests and releases as Flower records, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from fedgan.federation.compression import COMPRESSIONS, less, pack, packed_bytes, plus, unpack
from fedgan.federation.layout import join, split
from fedgan.federation.requests import Arrays, Description, EmbedRequest, Refusal, Release, TrainRequest

Payload = TypeVar("Payload", Description, EmbedRequest, TrainRequest, Release)

_ARRAYS = "arrays"
_FIELDS = "fields"
_LAYOUT = "layout"
_ALL = "all"
_STYPE = "bytes"
_REFUSAL = "refusal"
_COMPRESSION = "compression"
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
        """Bytes of the arrays of an answer."""
        return packed_bytes(self.expected.values(), self.compression)

    @property
    def most_entries(self) -> int:
        """Arrays of an answer on their way, at most: with "int8" each has its scales beside it."""
        return 2 * len(self.expected)


def question_of(request: EmbedRequest | TrainRequest, expected: Mapping[str, tuple[int, ...]]) -> Question:
    """Return how the answers to `request`, which hold arrays of the shapes `expected`, are to be read."""
    return Question(request.compression, expected, _base(request))


def to_records(
    payload: Description | EmbedRequest | TrainRequest | Release, answers: EmbedRequest | TrainRequest | None = None
) -> RecordDict:
    """Return `payload` as one record of scalars and, where it has arrays, one of all their bytes and one of the layout.

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
            data, layout = join(pack(less(value, _base(answers)) if answers else value, compression))
            records[_ARRAYS] = ArrayRecord({_ALL: Array("uint8", (len(data),), _STYPE, data)} if data else {})
            records[_LAYOUT] = ConfigRecord({**layout})
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
                values[_ARRAYS] = _arrays(records, compression, question)
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


def _arrays(records: RecordDict, compression: str, question: Question | None) -> Arrays:
    """Return the arrays in `records`; what is too large is refused before it is decoded."""
    record, layout = records[_ARRAYS], records[_LAYOUT]
    if not isinstance(record, ArrayRecord):
        raise ValueError("arrays is no record of arrays")
    if not isinstance(layout, ConfigRecord):
        raise ValueError("layout is no record of scalars")
    if question and (size := sum(len(array.data) for array in record.values())) > question.most_bytes:
        raise ValueError(f"{size} bytes of arrays, over {question.most_bytes}")
    if question and len(layout) > question.most_entries:
        raise ValueError(f"{len(layout)} arrays, over {question.most_entries}")
    arrays = unpack(split(_data(record), layout), compression)
    return plus(arrays, question.base) if question else arrays


def _data(record: ArrayRecord) -> bytes:
    """Return the bytes of all arrays, which are one array of Flower's, or none where there is nothing to hold."""
    if not record:
        return b""
    if list(record) != [_ALL] or record[_ALL].stype != _STYPE:
        raise ValueError("arrays is not one run of bytes")
    return record[_ALL].data


def _typed(name: str, annotation: str, value: Any) -> Any:
    if annotation.startswith("tuple"):
        if isinstance(value, list) and [type(item).__name__ for item in value] == annotation[6:-1].split(", "):
            return tuple(value)
    elif type(value).__name__ == annotation:
        return value
    raise ValueError(f"{name} is no {annotation}")
