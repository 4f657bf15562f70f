"""An append-only, hash-chained record of every charge to a client's privacy, durable before the charge is used.

A charge is on the disk before `Ledger.charge` returns, and the private computation starts afterwards: a crash can
over-report what was spent and never under-report it. The chain shows edits, deletions and insertions within a file;
that lines are missing at its end shows only against a head hash kept elsewhere, as releases carry it.
"""

from __future__ import annotations

import hmac
import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fedgan.errors import IntegrityError, UsageError
from fedgan.files import write_all, write_bytes
from fedgan.privacy.commitment import commitment
from fedgan.privacy.events import Event
from fedgan.privacy.ledger_clock import time_after
from fedgan.privacy.ledger_format import parse_line
from fedgan.privacy.ledger_line import DEFAULTS, FIRST, VERSION, LedgerLine, encode, seal
from fedgan.privacy.ledger_lock import take_lock, writing
from fedgan.privacy.ledger_memory import verified_lines
from fedgan.privacy.ledger_scan import scan_ledger, split_torn
from fedgan.privacy.ledger_signing import check_signed, renew_signature
from fedgan.privacy.levels import events_at

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


class Ledger:
    """A ledger opened for writing; it holds a lock until it is closed. See `Ledger.open`."""

    def __init__(self, path: Path, lock: int, lines: list[LedgerLine], key: EllipticCurvePrivateKey | None) -> None:
        self.path = path
        self._key = key
        self.lines = lines
        self._lock = lock
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
        self._open = True

    @classmethod
    def open(
        cls, path: Path, *, client: str, dataset: bytes, records: int, key: EllipticCurvePrivateKey | None = None
    ) -> Ledger:
        """Open the ledger at `path`, or begin it, and lock it against other writers.

        A line torn by a crash is cut off and replaced by a recovery line. A last line that is whole but for its line
        feed is kept, since it may be a charge that was used.

        Args:
            path: ends in `.jsonl`; its salt and its lock lie beside it as `.salt` and `.lock`.
            client: the name of the client.
            dataset: a digest of the client's records. Only a salted commitment to it is written.
            records: how many records there are, >= 1.
            key: signs the last line, now and after every charge; see `signature`.

        Raises:
            UsageError: another writer has it open, it belongs to another client or other records, or another key
                signed it; nothing is written then, a torn line not repaired.
            IntegrityError: a line is damaged, or the salt is missing or damaged, or the signature does not fit.
            ClockError: the clock is behind the last line; nothing is written then.
            FedganError: it cannot be written.
        """
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = take_lock(path)
            try:
                exists = path.exists()
                owner = {
                    "client": client,
                    "dataset": commitment(dataset, path.with_suffix(".salt"), begin=not exists),
                    "records": records,
                }
                if exists:
                    lines, repaired = _recovered(path)
                    _check_owner(path, lines[-1], owner)
                    check_signed(path, lines, key)
                    if repaired:  # once it is known that it is ours to write
                        write_bytes(path, repaired)
                else:
                    lines = _begin(path, owner)
                renew_signature(path, lines[-1], key)
                return cls(path, lock, lines, key)
            except BaseException:
                os.close(lock)
                raise

    @property
    def head(self) -> str:
        """The hash of the last line."""
        return self.lines[-1].hash

    @property
    def events(self) -> tuple[Event, ...]:
        """Everything charged so far, over all rounds and runs."""
        return tuple(line.event for line in self.lines if line.event is not None)

    def events_at(self, level: str) -> tuple[Event, ...]:
        """Return everything charged so far as it bears on one "record" or on a whole "client"; see `levels`."""
        return events_at(level, self.lines)

    def charge(
        self,
        event: Event,
        *,
        run: str,
        round: int,
        clip: float,
        noise_std: float,
        delta: float,
        level: str = DEFAULTS["level"],
        trust: str = DEFAULTS["trust"],
    ) -> str:
        """Append a charge and return the new head, after the line has reached the disk.

        Args:
            event: what is about to be done to the records.
            run: the name of the run.
            round: the round, from 0 (the warm start) or 1.
            clip: L2 bound of the contribution of one record, or of the client at level "client".
            noise_std: standard deviation of the noise, in the units of `clip`.
            delta: the delta of the plan, in (0, 1).
            level: whose presence the noise hides: "record" or "client".
            trust: "local", or "aggregator" where the server adds the noise and sees what it is added to.

        Raises:
            ValueError: an argument that no ledger line may hold, or the ledger is closed, as after a failed write.
            ClockError: the clock is behind the last line.
            FedganError: the line cannot be written; what was written of it is taken back where that is possible.
        """
        if not self._open:
            raise ValueError(f"{self.path} is closed")
        charge = {
            "run": run,
            "round": round,
            "event": event.to_dict(),
            "clip": clip,
            "noise_std": noise_std,
            "delta": delta,
            **{key: value for key, value in (("level", level), ("trust", trust)) if value != DEFAULTS[key]},
        }
        owner = {key: self.lines[-1].row[key] for key in ("client", "dataset", "records")}
        raw = encode(_row(self.path, self.lines, owner, charge))
        try:
            line = parse_line(raw, self.lines[-1])  # what could not be read back is never written
        except IntegrityError as error:
            raise ValueError(f"this charge cannot be recorded: {error}") from error
        with writing(self.path):
            self._write(raw, line)
        self.lines.append(line)
        return self.head

    def _write(self, raw: bytes, line: LedgerLine) -> None:
        """Append `raw`, which is `line`, durably and signed, or close the ledger."""
        length = os.fstat(self._file).st_size
        try:
            try:
                write_all(self._file, raw)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._file, length)
                raise
            os.fsync(self._file)  # where this fails the line may be on the disk: it stays, and counts
            renew_signature(self.path, line, self._key)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give up the lock; closing twice is harmless."""
        if self._open:
            self._open = False
            os.close(self._file)
            os.close(self._lock)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_ledger(path: Path) -> list[LedgerLine]:
    """Read and verify a whole ledger, without locking it.

    Raises:
        UsageError: there is no such file.
        IntegrityError: a line is damaged or, at the end, torn; the message names file, line and fault.
    """
    return list(scan_ledger(path))


def _check_owner(path: Path, line: LedgerLine, owner: dict[str, Any]) -> None:
    if line.client != owner["client"]:
        raise UsageError(f"{path} is the ledger of client {line.client!r}, not of {owner['client']!r}")
    if line.records != owner["records"] or not hmac.compare_digest(line.dataset, owner["dataset"]):
        raise UsageError(
            f"{path} was kept for {line.records} other records: a ledger follows one set of records for good, "
            "so give these their own (what records in both spend adds up over the two)"
        )


def _begin(path: Path, owner: dict[str, Any]) -> list[LedgerLine]:
    row = _row(path, [], owner, {})
    write_bytes(path, encode(row))
    return [LedgerLine(row, None)]


def _recovered(path: Path) -> tuple[list[LedgerLine], bytes]:
    """Return the lines of the ledger at `path`, its torn end repaired, and the file to write for that; b"" for none."""
    whole, torn = split_torn(path.read_bytes())
    lines = verified_lines(path, whole)
    time_after(path, lines[-1])  # before anything is written
    if not torn:
        return lines, b""
    repaired = torn + b"\n"
    try:
        line = parse_line(repaired, lines[-1])
    except IntegrityError:
        owner = {key: lines[-1].row[key] for key in ("client", "dataset", "records")}
        row = _row(path, lines, owner, {"recovered": {"bytes": len(torn), "sha256": sha256(torn).hexdigest()}})
        line, repaired = LedgerLine(row, None), encode(row)
    return [*lines, line], whole + repaired


def _row(path: Path, lines: list[LedgerLine], owner: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    return seal(
        {
            "version": VERSION,
            "sequence": len(lines),
            "time": time_after(path, lines[-1] if lines else None),
            "client": owner["client"],
            **{key: content[key] for key in ("run", "round") if key in content},
            "dataset": owner["dataset"],
            "records": owner["records"],
            **{key: value for key, value in content.items() if key not in ("run", "round")},
            "previous": lines[-1].hash if lines else FIRST,
        }
    )
