"""The short cut of the reader takes nothing that the full check would not, and reads the same from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedgan.errors import IntegrityError
from fedgan.privacy import ledger_scan
from fedgan.privacy.events import Composed, Event, Gaussian, PoissonSampled, SelfComposed
from fedgan.privacy.ledger_format import parse_line
from fedgan.privacy.ledger_line import FIRST, LedgerLine, encode, seal

pytestmark = pytest.mark.privacy

POSITIVE = st.floats(1e-3, 1e6) | st.integers(1, 1000)
EVENTS: st.SearchStrategy[Event] = st.recursive(
    st.builds(Gaussian, POSITIVE),
    lambda inner: st.one_of(
        st.builds(PoissonSampled, st.floats(0, 1), inner),
        st.builds(SelfComposed, st.integers(1, 10**6), inner),
        st.lists(inner, max_size=3).map(lambda events: Composed(tuple(events))),
    ),
    max_leaves=4,
)
OWNER = {"client": "00000", "dataset": "ab" * 32, "records": 100}


def pair(event: Event, run: str = "run", **changes: Any) -> tuple[LedgerLine, bytes]:
    """Return an opening and the bytes of a charge after it."""
    opening = seal({"version": 1, "sequence": 0, "time": "2026-01-01T00:00:00Z", **OWNER, "previous": FIRST})
    charge: dict[str, Any] = {
        "version": 1,
        "sequence": 1,
        "time": "2026-01-01T00:00:01.5Z",
        "client": "00000",
        "run": run,
        "round": 3,
        "dataset": OWNER["dataset"],
        "records": 100,
        "event": event.to_dict(),
        "clip": 1.0,
        "noise_std": 2.5,
        "delta": 1e-5,
        **changes,
        "previous": opening["hash"],
    }
    return LedgerLine(opening, None), encode(seal(charge))


@settings(deadline=None)
@given(EVENTS, st.text(max_size=5), POSITIVE, st.sampled_from([{}, {"level": "client"}, {"trust": "aggregator"}]))
def test_both_ways_read_the_same(event: Event, run: str, clip: float, kind: dict[str, str]) -> None:
    before, raw = pair(event, run=run, clip=clip, **kind)
    full = parse_line(raw, before)
    short = ledger_scan._short_cut(raw, before)
    plain = all(" " <= letter <= "~" and letter not in '"\\' for letter in run)
    assert (short is not None) == plain
    if short is not None:
        assert short == full
        assert list(short.row) == list(full.row)
        assert encode(short.row) == raw


def test_the_short_cut_is_taken() -> None:
    event = SelfComposed(20, PoissonSampled(0.25, Gaussian(1.5)))
    for kind in ({}, {"level": "client", "trust": "aggregator"}):
        before, raw = pair(event, **kind)
        assert ledger_scan._short_cut(raw, before) == parse_line(raw, before)


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_the_short_cut_takes_nothing_that_the_full_check_refuses(data: st.DataObject) -> None:
    before, raw = pair(SelfComposed(20, PoissonSampled(0.25, Gaussian(1.5))))
    row = json.loads(raw)
    match data.draw(st.sampled_from(["byte", "field", "spelling", "before"])):
        case "byte":
            position = data.draw(st.integers(0, len(raw) - 1))
            changed = raw[:position] + data.draw(st.binary(max_size=2)) + raw[position + 1 :]
        case "field":
            value = data.draw(st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=3))
            row[data.draw(st.sampled_from(sorted(row)))] = value
            try:
                changed = encode(seal({key: row[key] for key in row if key != "hash"}))
            except ValueError:
                return  # no JSON
        case "spelling":
            new = data.draw(st.sampled_from([b"1.00", b"1e0", b"1", b"+1.0", b" 1.0", b"1.0 "]))
            changed = raw.replace(b'"clip":1.0', b'"clip":' + new)
        case _:
            changed = raw
            key = data.draw(st.sampled_from(["sequence", "client", "dataset", "records", "hash"]))
            before = LedgerLine(before.row | {key: 7 if key in ("sequence", "records") else "other"}, None)
    if ledger_scan._short_cut(changed, before) is not None:
        parse_line(changed, before)


@pytest.mark.parametrize(("key", "value"), [("sequence", 1.0), ("sequence", True), ("version", True), ("version", 1.0)])
def test_numbers_of_another_type_are_refused_although_the_chain_holds(key: str, value: Any) -> None:
    before, raw = pair(Gaussian(1.5), **{key: value})
    assert ledger_scan._short_cut(raw, before) is None
    with pytest.raises(IntegrityError, match=key):
        parse_line(raw, before)


def test_a_hash_that_the_full_check_finds_wrong_is_never_taken(tmp_path: Path) -> None:
    before, raw = pair(Gaussian(1.5))
    (tmp_path / "a.jsonl").write_bytes(encode(before.row) + raw.replace(b'"delta":1e-05', b'"delta":1e-06'))
    with pytest.raises(IntegrityError, match=r"a\.jsonl:2: its hash does not match"):
        list(ledger_scan.scan_ledger(tmp_path / "a.jsonl"))
