"""Requests and answers as bytes on the socket: safetensors with JSON beside it, which can run no code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from fedgan.federation.requests import Arrays, Description, EmbedRequest, Release, TrainRequest

if TYPE_CHECKING:  # the configuration's classes take a quarter of a second, once for each message
    from fedgan.config.flat import Scalar

Payload = TypeVar("Payload", Description, EmbedRequest, TrainRequest, Release)

_HEADER = "fedgan"
_LENGTH_BYTES = 8


@dataclass(frozen=True)
class Asked:
    """What goes with a request: the run's configuration, flat, as the server sent it."""

    config: Mapping[str, Scalar]


def encode(payload: Description | EmbedRequest | TrainRequest | Release, asked: Asked | None = None) -> bytes:
    """Return `payload`, and the configuration it is `asked` under, as bytes."""
    scalars = {entry.name: getattr(payload, entry.name) for entry in fields(payload) if entry.name != "arrays"}
    header = {"fields": scalars, "config": dict(asked.config) if asked else {}}
    return save(dict(getattr(payload, "arrays", {})), metadata={_HEADER: json.dumps(header)})


def decode(kind: type[Payload], content: bytes) -> tuple[Payload, Asked]:
    """Return the `kind` in `content`, and what it is asked under.

    Raises:
        ValueError: it is not what `encode` makes of a `kind`; the message names a field alone.
    """
    header, arrays = _parts(content)
    scalars, config = header.get("fields"), header.get("config")
    if not isinstance(scalars, dict) or not isinstance(config, dict):
        raise ValueError("fields or config is no table")
    if not all(isinstance(value, bool | int | float | str) for value in config.values()):
        raise ValueError("config holds more than scalars")
    names = {entry.name for entry in fields(kind)} - {"arrays"}
    if scalars.keys() != names:
        raise ValueError(f"the fields are not those of {kind.__name__}")
    values = {entry.name: _typed(entry.name, str(entry.type), scalars) for entry in fields(kind) if entry.name in names}
    if "arrays" in kind.__dataclass_fields__:
        values["arrays"] = arrays
    elif arrays:
        raise ValueError(f"{kind.__name__} has no arrays")
    return kind(**values), Asked(config)


def _parts(content: bytes) -> tuple[dict[str, Any], Arrays]:
    """Return the header and the arrays of safetensors `content`."""
    try:
        arrays = load(content)
        end = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
        header = json.loads(json.loads(content[_LENGTH_BYTES:end])["__metadata__"][_HEADER])
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError):
        raise ValueError("the content is not in the form of this socket") from None
    if not isinstance(header, dict):
        raise ValueError("the header is no table")
    if any(array.dtype != np.float32 for array in arrays.values()):
        raise ValueError("an array is not float32")
    return header, arrays


def _typed(name: str, annotation: str, scalars: Mapping[str, Any]) -> Any:
    value = scalars[name]
    if annotation.startswith("tuple"):
        if isinstance(value, list) and [type(item).__name__ for item in value] == annotation[6:-1].split(", "):
            return tuple(value)
    elif type(value).__name__ == annotation:
        return value
    raise ValueError(f"{name} is no {annotation}")
