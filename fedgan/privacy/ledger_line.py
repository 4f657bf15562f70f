"""The lines of a privacy ledger: their JSON, their hash chain, and the check of both."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from fedgan.errors import IntegrityError
from fedgan.privacy.events import Event, from_dict

VERSION = 1
FIRST = "0" * 64  # `previous` of the first line

_COMMON = {"version", "sequence", "time", "client", "dataset", "records", "previous", "hash"}
_CHARGE = {"run", "round", "event", "clip", "noise_std", "delta"}
_RECOVERY = {"recovered"}

# What a charge may say besides: whose presence it hides and whom it trusts. The default is never written, so that a
# charge has one form; "aggregator" means that the server adds the noise, after it has seen the clipped sums.
DEFAULTS = {"level": "record", "trust": "local"}
_OTHERS = {"level": ("client",), "trust": ("aggregator",)}


@dataclass(frozen=True)
class LedgerLine:
    """One line, verified: an opening (no event), a charge, or a recovery (no event, `recovered` says of what).

    Attributes:
        row: the JSON object as it stands in the file.
        event: what was charged, or None.
    """

    row: dict[str, Any]
    event: Event | None

    @property
    def sequence(self) -> int:
        """The position of the line in its ledger, from 0."""
        return int(self.row["sequence"])

    @property
    def client(self) -> str:
        """The name of the client. It is data: nothing may be derived from it but text."""
        return str(self.row["client"])

    @property
    def dataset(self) -> str:
        """The salted commitment to the records, in hexadecimal."""
        return str(self.row["dataset"])

    @property
    def records(self) -> int:
        """How many records the client holds."""
        return int(self.row["records"])

    @property
    def delta(self) -> float | None:
        """The delta that the charge was planned with; None where there is no event."""
        return None if self.event is None else float(self.row["delta"])

    @property
    def level(self) -> str:
        """Whose presence the charge hides: one "record" or the whole "client"."""
        return str(self.row.get("level", DEFAULTS["level"]))

    @property
    def trust(self) -> str:
        """Who has to be trusted: nobody else ("local"), or the server, which adds the noise ("aggregator")."""
        return str(self.row.get("trust", DEFAULTS["trust"]))

    @property
    def hash(self) -> str:
        """SHA-256 over the line without its hash, in hexadecimal."""
        return str(self.row["hash"])


def seal(row: dict[str, Any]) -> dict[str, Any]:
    """Return `row` with its `hash` added."""
    return {**row, "hash": row_hash(row)}


def encode(row: dict[str, Any]) -> bytes:
    """Return the bytes of a line, line feed included."""
    return json.dumps(row, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def row_hash(row: dict[str, Any]) -> str:
    """Return SHA-256 over `row` without its `hash`, as compact JSON with sorted keys."""
    bare = {key: value for key, value in row.items() if key != "hash"}
    return sha256(json.dumps(bare, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()).hexdigest()


def parse_lines(content: bytes, path: Path) -> list[LedgerLine]:
    """Return the lines of a whole ledger, each of which must end in a line feed.

    Raises:
        IntegrityError: naming file and line, and what is wrong with it.
    """
    lines: list[LedgerLine] = []
    for number, raw in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            lines.append(parse_line(raw + b"\n", lines[-1] if lines else None))
        except IntegrityError as error:
            raise IntegrityError(f"{path}:{number}: {error}") from error
    return lines


def parse_line(raw: bytes, before: LedgerLine | None) -> LedgerLine:
    """Return the line in `raw`, verified as the one after `before`; raises IntegrityError saying what is wrong."""
    row = _decode(raw)
    expected = _COMMON | (_CHARGE if "event" in row else _RECOVERY if "recovered" in row else set())
    if row.get("version") != VERSION:
        raise IntegrityError(f"ledger version {row.get('version')!r} is not {VERSION}")
    if "event" in row:
        expected |= _OTHERS.keys() & row.keys()
    if set(row) != expected:
        raise IntegrityError(f"its keys differ from the format in {sorted(set(row) ^ expected)}")
    sequence = 0 if before is None else before.sequence + 1
    if row["sequence"] != sequence:
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
    for key, values in _OTHERS.items():
        if key in row and row[key] not in values:
            raise IntegrityError(f"{key} is {row[key]!r}: it is {values[0]!r}, or is not written ({DEFAULTS[key]!r})")


def _check_same(row: dict[str, Any], first: dict[str, Any], keys: Iterable[str]) -> None:
    for key in keys:
        if row[key] != first[key]:
            raise IntegrityError(f"{key} changed from {first[key]!r} to {row[key]!r}")
