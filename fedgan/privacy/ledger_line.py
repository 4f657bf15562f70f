"""The lines of a privacy ledger: their fields, their JSON and their hash."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from fedgan.privacy.events import Event

VERSION = 1
FIRST = "0" * 64  # `previous` of the first line
# What a charge may say besides: whose presence it hides and whom it trusts. The default is never written, so that a
# charge has one form; "aggregator" means that the server adds the noise, after it has seen the clipped sums.
DEFAULTS = {"level": "record", "trust": "local"}
OTHERS = {"level": ("client",), "trust": ("aggregator",)}


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
