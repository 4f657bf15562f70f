"""Reading a ledger line by line: most lines by a short cut, every other by the full check.

A million lines are read in seconds. The short cut only ever accepts: it takes lines of the plain form in which charges
are written, and returns for them what `parse_line` would. Whatever it does not take, `parse_line` judges.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from fedgan.errors import IntegrityError, UsageError
from fedgan.privacy.events import Event, from_dict
from fedgan.privacy.ledger_format import parse_line
from fedgan.privacy.ledger_line import LedgerLine

_TEXT = rb'"([ !#-\[\]-~]*)"'  # characters that JSON writes as they are
_COUNT = rb"(0|[1-9][0-9]{0,14})"
_NUMBER = rb"([0-9][^,]*)"
_PLAIN = re.compile(
    rb'\{"version":1,"sequence":%b,"time":%b,"client":%b,"run":%b,"round":%b,"dataset":%b,"records":%b,'
    rb'"event":(\{[^\n]*\}),"clip":%b,"noise_std":%b,"delta":%b(,"level":"client")?(,"trust":"aggregator")?,'
    rb'"previous":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"\}\n'
    % (_COUNT, _TEXT, _TEXT, _TEXT, _COUNT, _TEXT, _COUNT, _NUMBER, _NUMBER, _NUMBER)
)


def scan_ledger(path: Path) -> Iterator[LedgerLine]:
    """Yield the verified lines of the ledger at `path`, without locking it.

    Raises:
        UsageError: there is no such file.
        IntegrityError: a line is damaged or, at the end, torn; the message names file, line and fault.
    """
    if not path.is_file():
        raise UsageError(f"{path} is not a ledger: there is no such file")
    whole, torn = split_torn(path.read_bytes())
    yield from scan_lines(whole, path)
    if torn:
        number = whole.count(b"\n") + 1
        raise IntegrityError(
            f"{path}:{number}: the last line is torn ({len(torn)} bytes without a line feed), "
            "as a crash leaves it: it is recovered when the client opens the ledger again"
        )


def split_torn(content: bytes) -> tuple[bytes, bytes]:
    """Split off what follows the last line feed."""
    end = content.rfind(b"\n") + 1
    return content[:end], content[end:]


def scan_lines(whole: bytes, path: Path, *, known: int = 0, before: LedgerLine | None = None) -> Iterator[LedgerLine]:
    """Yield the verified lines of `whole`, the content of the ledger at `path` up to its last line feed.

    Args:
        whole: lines, each with its line feed.
        path: for messages.
        known: how many bytes of `whole` are verified already and left out.
        before: the last line among them.

    Raises:
        IntegrityError: naming file and line, and what is wrong with it.
    """
    # The opening line is written whole by a rename, so no crash explains a ledger without it.
    if not whole:
        raise IntegrityError(f"{path}:1: the opening line is missing")
    begin = known
    while end := whole.find(b"\n", begin) + 1:
        raw = whole[begin:end]
        try:
            before = _short_cut(raw, before) or parse_line(raw, before)
        except IntegrityError as error:
            number = whole.count(b"\n", 0, begin) + 1
            raise IntegrityError(f"{path}:{number}: {error}") from error
        yield before
        begin = end


def _short_cut(raw: bytes, before: LedgerLine | None) -> LedgerLine | None:
    """Return the line in `raw` if it is plain and right, or None."""
    if before is None or not (match := _PLAIN.fullmatch(raw)):
        return None
    (sequence, time, client, run, number, dataset, records, raw_event, clip, noise_std, delta) = match.groups()[:11]
    level, trust, previous, digest = match.groups()[11:]
    event = _event(raw_event)
    values = [_number(clip), _number(noise_std), _number(delta)]
    if event is None or None in values or not 0 < values[2] < 1:  # type: ignore[operator]
        return None
    bare = b'{"client":"%b","clip":%b,"dataset":"%b","delta":%b,"event":%b%b,"noise_std":%b,"previous":"%b",' % (
        client, clip, dataset, delta, event[1], level or b"", noise_std, previous,
    )  # fmt: skip
    bare += b'"records":%b,"round":%b,"run":"%b","sequence":%b,"time":"%b"%b,"version":1}' % (
        records, number, run, sequence, time, trust or b"",
    )  # fmt: skip
    if sha256(bare).hexdigest().encode() != digest:
        return None
    row: dict[str, Any] = {
        "version": 1,
        "sequence": int(sequence),
        "time": time.decode(),
        "client": client.decode(),
        "run": run.decode(),
        "round": int(number),
        "dataset": dataset.decode(),
        "records": int(records),
        "event": event[0],
        "clip": values[0],
        "noise_std": values[1],
        "delta": values[2],
    }
    if level:
        row["level"] = "client"
    if trust:
        row["trust"] = "aggregator"
    row["previous"] = previous.decode()
    row["hash"] = digest.decode()
    return LedgerLine(row, event[2]) if _continues(row, before.row) else None


def _continues(row: dict[str, Any], before: dict[str, Any]) -> bool:
    return bool(
        row["previous"] == before["hash"]
        and row["sequence"] == before["sequence"] + 1
        and row["client"] == before["client"]
        and row["dataset"] == before["dataset"]
        and row["records"] == before["records"]
    )


@lru_cache(maxsize=4096)
def _event(raw: bytes) -> tuple[dict[str, Any], bytes, Event] | None:
    """Return an event's JSON object, its bytes with sorted keys, and the event, if `raw` is its compact form."""
    try:
        row = json.loads(raw)
        if json.dumps(row, separators=(",", ":"), allow_nan=False).encode() != raw:
            return None
        return row, json.dumps(row, sort_keys=True, separators=(",", ":")).encode(), from_dict(row)
    except (ValueError, RecursionError, IntegrityError):
        return None


@lru_cache(maxsize=4096)
def _number(raw: bytes) -> float | None:
    """Return the number >= 0 of which `raw` is the form in JSON."""
    try:
        value = json.loads(raw)
    except ValueError:
        return None
    plain = type(value) in (int, float) and value >= 0 and json.dumps(value).encode() == raw
    return value if plain and value != float("inf") else None
