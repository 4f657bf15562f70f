"""The check of a ledger's line: its form, its place in the chain, its hash, and that it is about the same records."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from fedgan.errors import IntegrityError
from fedgan.privacy.events import from_dict
from fedgan.privacy.ledger_line import DEFAULTS, FIRST, OTHERS, VERSION, LedgerLine, encode, row_hash

_COMMON = {"version", "sequence", "time", "client", "dataset", "records", "previous", "hash"}
_CHARGE = {"run", "round", "event", "clip", "noise_std", "delta"}
_RECOVERY = {"recovered"}


def parse_line(raw: bytes, before: LedgerLine | None) -> LedgerLine:
    """Return the line in `raw`, verified as the one after `before`; raises IntegrityError saying what is wrong."""
    row = _decode(raw)
    expected = _COMMON | (_CHARGE if "event" in row else _RECOVERY if "recovered" in row else set())
    if type(row.get("version")) is not int or row["version"] != VERSION:
        raise IntegrityError(f"ledger version {row.get('version')!r} is not {VERSION}")
    if "event" in row:
        expected |= OTHERS.keys() & row.keys()
    if set(row) != expected:
        raise IntegrityError(f"its keys differ from the format in {sorted(set(row) ^ expected)}")
    sequence = 0 if before is None else before.sequence + 1
    if type(row["sequence"]) is not int or row["sequence"] != sequence:
        raise IntegrityError(f"sequence is {row['sequence']!r} where {sequence} should stand")
    if row["previous"] != (FIRST if before is None else before.hash):
        raise IntegrityError("it does not continue the line before: previous differs from that line's hash")
    if row["hash"] != row_hash(row):
        raise IntegrityError("its hash does not match its content")
    _check_types(row)
    if before is not None:
        _check_same(row, before.row, ("client", "dataset", "records"))
    return LedgerLine(row, from_dict(row["event"]) if "event" in row else None)


def _decode(raw: bytes) -> dict[str, Any]:
    try:
        row = json.loads(raw, parse_constant=_refuse, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:  # also UnicodeDecodeError and JSONDecodeError
        raise IntegrityError(f"it is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise IntegrityError("it is not a JSON object")
    if encode(row) != raw:
        raise IntegrityError("its bytes differ from the form in which ledgers are written")
    return row


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number")


def _check_types(row: dict[str, Any]) -> None:
    for key in ("time", "client", "dataset"):
        if not isinstance(row[key], str):
            raise IntegrityError(f"{key} is not text")
    if not (type(row["records"]) is int and row["records"] >= 1):
        raise IntegrityError("records is not a positive integer")
    if "event" not in row:
        return
    if not isinstance(row["run"], str) or not (type(row["round"]) is int and row["round"] >= 0):
        raise IntegrityError("run is not text or round is not an integer of at least 0")
    for key in ("clip", "noise_std", "delta"):
        value = row[key]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not (0 <= value < math.inf):
            raise IntegrityError(f"{key} is not a number of at least 0")
    if not 0 < row["delta"] < 1:
        raise IntegrityError("delta does not lie in (0, 1)")
    for key, values in OTHERS.items():
        if key in row and row[key] not in values:
            raise IntegrityError(f"{key} is {row[key]!r}: it is {values[0]!r}, or is not written ({DEFAULTS[key]!r})")


def _check_same(row: dict[str, Any], first: dict[str, Any], keys: Iterable[str]) -> None:
    for key in keys:
        if row[key] != first[key]:
            raise IntegrityError(f"{key} changed from {first[key]!r} to {row[key]!r}")
