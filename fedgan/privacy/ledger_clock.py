"""The times of a ledger's lines: they never go back, and nothing is charged under a clock that has.

An auditor reads the lines of several ledgers, runs and sites by their times. A machine whose clock was set back by
hours, or lost its battery, would write lines that contradict those before, so its vault computes nothing until the
clock is right. What keeps clocks right may step them back a little (NTP by a second or two, a leap second, a virtual
machine that was moved): up to a minute, far below the hours of a wrong time zone, a line takes the time of the one
before it instead.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fedgan.errors import ClockError, IntegrityError
from fedgan.privacy.ledger_line import LedgerLine

TOLERANCE = timedelta(minutes=1)

_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def time_after(path: Path, before: LedgerLine | None) -> str:
    """Return the time of the line that would now follow `before`, the last one of the ledger at `path`.

    Raises:
        ClockError: the clock is more than `TOLERANCE` behind that line.
        IntegrityError: that line's time is none.
    """
    now = datetime.now(UTC)
    if before is None:
        return written(now)
    if not is_time(before.row["time"]):
        raise IntegrityError(f"{path}:{before.sequence + 1}: time is {before.row['time']!r}, not a UTC time")
    last = datetime.fromisoformat(before.row["time"])
    if last - now > TOLERANCE:
        raise ClockError(
            f"{path}: the last line of client {before.client} was written at {written(last)}, but this machine's clock "
            f"says {written(now)}: set the clock right; until then nothing is charged and nothing is computed"
        )
    return written(max(now, last))


def is_time(text: str) -> bool:
    """Return whether `text` is a UTC time in the form of ledgers."""
    try:
        return bool(_FORM.fullmatch(text)) and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def ahead(line: LedgerLine) -> timedelta | None:
    """Return by how much the time of `line` lies ahead of this machine's clock, if by more than `TOLERANCE`."""
    lead = datetime.fromisoformat(line.row["time"]) - datetime.now(UTC)
    return lead if lead > TOLERANCE else None


def goes_back(line: LedgerLine, before: LedgerLine) -> bool:
    """Return whether the time of `line` is before that of the line `before`; both are in the form of ledgers."""
    # Without the Z, since a time that falls on a full second is written without a fraction.
    return bool(line.row["time"].rstrip("Z") < before.row["time"].rstrip("Z"))


def written(time: datetime) -> str:
    """Return `time`, in UTC, as it stands in a line."""
    return time.isoformat().replace("+00:00", "Z")
