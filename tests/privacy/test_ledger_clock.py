"""A ledger's times never go back: a small step of the clock is evened out, under a large one nothing is charged."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fedgan.audit.verify import verify
from fedgan.errors import ClockError, FedganError
from fedgan.privacy import ledger_clock
from fedgan.privacy.events import Gaussian
from fedgan.privacy.ledger import Ledger, read_ledger

pytestmark = pytest.mark.privacy

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CHARGE: dict[str, Any] = {"run": "r", "clip": 1.0, "noise_std": 2.0, "delta": 1e-6}
SetClock = Callable[[float], None]


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Set the clock to so many seconds after noon."""

    def put(seconds: float) -> None:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                return NOON + timedelta(seconds=seconds)

        monkeypatch.setattr(ledger_clock, "datetime", Clock)

    return put


def opened(path: Path) -> Ledger:
    return Ledger.open(path, client="00007", dataset=b"digest", records=100_000)


def charge(ledger: Ledger, number: int) -> None:
    ledger.charge(Gaussian(2.0), round=number, **CHARGE)


def times(path: Path) -> list[str]:
    return [line.row["time"] for line in read_ledger(path)]


def test_a_small_step_back_takes_the_time_of_the_line_before(tmp_path: Path, set_clock: SetClock) -> None:
    path = tmp_path / "client-00007.jsonl"
    for number, seconds in enumerate((0, 10, -50, 5, 11)):  # 60 s behind the latest is the most
        set_clock(seconds)
        with opened(path) as ledger:
            charge(ledger, number)
    first, late, last = (f"2026-01-01T12:00:{second}Z" for second in ("00", "10", "11"))
    assert times(path) == [first, first, late, late, late, last]
    report = verify([path])
    assert (report.intact, report.warnings) == (True, ())


@pytest.mark.parametrize("seconds", [-60.001, -3600, -1e9])
def test_a_large_step_back_charges_nothing(tmp_path: Path, set_clock: SetClock, seconds: float) -> None:
    path = tmp_path / "client-00007.jsonl"
    set_clock(0)
    with opened(path) as ledger:
        before = {file: file.read_bytes() for file in tmp_path.iterdir()}
        set_clock(seconds)
        with pytest.raises(ClockError) as caught:
            charge(ledger, 1)
    now = (NOON + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    assert str(caught.value) == (
        f"{path}: the last line of client 00007 was written at 2026-01-01T12:00:00Z, but this machine's clock "
        f"says {now}: set the clock right; until then nothing is charged and nothing is computed"
    )
    with pytest.raises(ClockError):
        opened(path)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
    set_clock(1)
    with opened(path) as ledger:
        charge(ledger, 1)
    assert times(path)[-1] == "2026-01-01T12:00:01Z"


def test_a_torn_ledger_from_the_future_is_not_touched(tmp_path: Path, set_clock: SetClock) -> None:
    path = tmp_path / "client-00007.jsonl"
    set_clock(0)
    opened(path).close()
    torn = path.read_bytes() + b'{"version":1,'
    path.write_bytes(torn)
    set_clock(-3600)
    with pytest.raises(ClockError):
        opened(path)
    assert path.read_bytes() == torn


def test_a_clock_error_is_a_failure_of_its_own_kind() -> None:
    assert issubclass(ClockError, FedganError)
    assert ClockError.exit_code == 1
