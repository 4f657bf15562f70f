"""Verification of what ledgers say on their own, and of a run's card and checkpoints."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedgan.audit.budget import audit_budget
from fedgan.audit.verify import verify
from fedgan.errors import UsageError
from fedgan.privacy.events import Composed, Event, Gaussian, PoissonSampled, SelfComposed
from fedgan.privacy.ledger import Ledger, read_ledger

from .conftest import charge, resealed

pytestmark = pytest.mark.privacy

CHARGE: dict[str, Any] = {"run": "run", "round": 1, "clip": 0.5, "noise_std": 1.0, "delta": 1e-5}


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def ledger(path: Path, event: Event, **changes: Any) -> Path:
    with Ledger.open(path, client="a", dataset=b"", records=100) as opened:
        opened.charge(event, **CHARGE | changes)
    return path


def only_fault(*paths: Path) -> str:
    (fault,) = verify(list(paths)).faults
    return str(fault)


@pytest.mark.parametrize(
    ("event", "changes", "what"),
    [
        (PoissonSampled(0.0, Gaussian(2.0)), {}, "a sampling rate of 0.0 does not lie in (0, 1]"),
        (SelfComposed(10**13, Gaussian(2.0)), {}, "a count of 10000000000000 is more than any training has"),
        (Composed(()), {}, "its event holds no mechanism"),
        (Gaussian(2.0), {"clip": 0.0}, "clip is 0, not above 0"),
        (Gaussian(2.0), {"noise_std": 2.0}, "noise_std is 2.0, but clip times the noise multiplier"),
        (Gaussian(2.0), {"noise_std": 1.0001}, "noise_std is 1.0001, but clip times the noise multiplier"),
        (PoissonSampled(0.1, Gaussian(2.1)), {}, "noise_std is 1.0, but clip times the noise multiplier"),
    ],
)
def test_a_charge_that_cannot_be_true_is_named(tmp_path: Path, event: Event, changes: Any, what: str) -> None:
    path = ledger(tmp_path / "a.jsonl", event, **changes)
    assert only_fault(path).startswith(f"{path}:2: {what}")


@pytest.mark.parametrize(
    "event", [Gaussian(2.0), PoissonSampled(1.0, Gaussian(2.0)), Composed((Gaussian(5.0), Gaussian(2.0)))]
)
def test_a_charge_that_can_be_true_is_none(tmp_path: Path, event: Event) -> None:
    report = verify([ledger(tmp_path / "a.jsonl", event)])
    assert (report.intact, report.warnings) == (True, ())


@pytest.mark.parametrize(
    "change", [{"time": "yesterday"}, {"time": "2026-13-01T00:00:00Z"}, {"dataset": "ab"}, {"recovered": {"bytes": 0}}]
)
def test_a_line_that_cannot_be_true_is_named(tmp_path: Path, change: dict[str, Any]) -> None:
    path = ledger(tmp_path / "a.jsonl", Gaussian(2.0))
    opening = json.loads(path.read_text().splitlines()[0])
    path.write_bytes(b"".join(resealed([opening | change])))
    assert f"{path}:1: {next(iter(change))} " in only_fault(path)


def test_a_time_that_goes_back_is_a_fault_of_its_line(tmp_path: Path) -> None:
    path = ledger(tmp_path / "a.jsonl", Gaussian(2.0))
    opening, charged = map(json.loads, path.read_text().splitlines())
    for times, faulty in (
        (("2026-01-02T00:00:00.5Z", "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"), 2),
        (("2026-01-02T00:00:00Z", "2026-01-02T00:00:00.000001Z", "2026-01-02T00:00:00.000001Z"), 0),
    ):
        rows = zip((opening, charged, charged), times, strict=True)
        path.write_bytes(b"".join(resealed([row | {"time": time} for row, time in rows])))
        faults = verify([path]).faults
        assert [fault.line for fault in faults] == ([faulty] if faulty else [])
        assert all(fault.what.startswith(f"its time goes back: {times[1]} is before {times[0]},") for fault in faults)


def test_a_ledger_from_the_future_is_a_warning(tmp_path: Path) -> None:
    path = ledger(tmp_path / "a.jsonl", Gaussian(2.0))
    opening, charged = map(json.loads, path.read_text().splitlines())
    path.write_bytes(b"".join(resealed([opening, charged | {"time": "2999-01-01T00:00:00Z"}])))
    report = verify([path])
    assert report.intact
    (warning,) = report.warnings
    assert warning.line == 2
    assert "its time 2999-01-01T00:00:00Z lies " in warning.what


def test_a_delta_that_publishes_records_is_a_warning(tmp_path: Path) -> None:
    (warning,) = verify([ledger(tmp_path / "a.jsonl", Gaussian(2.0), delta=0.02)]).warnings
    assert "delta 0.02 exceeds 1/records" in str(warning)


def test_a_torn_last_line_is_reported_as_such(copy: Path) -> None:
    path = copy / "ledgers" / "client-00001.jsonl"
    path.write_bytes(path.read_bytes() + b'{"version":1,')
    assert only_fault(copy).startswith(f"{path}:6: the last line is torn (13 bytes without a line feed), as a crash")
    Ledger.open(path, client="00001", dataset=b"00001", records=100).close()
    assert verify([copy]).intact


def test_the_weights_are_those_of_the_card(copy: Path) -> None:
    for name, card in (("generator", "generator.json"), ("checkpoints/round-00002", "round-00002.json")):
        path = copy / f"{name}.safetensors"
        content = path.read_bytes()
        path.write_bytes(content + b"!")
        assert only_fault(copy).startswith(f"{path}: its SHA-256 is not the ")
        assert only_fault(copy).endswith(f"that {card} names")
        path.unlink()
        assert only_fault(copy) == f"{path}: it cannot be read: No such file or directory"
        path.write_bytes(content)
    (copy / "generator.json").unlink()
    assert only_fault(copy).startswith(f"{copy / 'generator.json'}: damaged: ")


@pytest.mark.parametrize("content", ["", "[]", "{}", "\x00", '{"sha256": "a", "ledger_heads": {"00000": 1}}'])
def test_a_damaged_card_is_named(copy: Path, content: str) -> None:
    (copy / "generator.json").write_text(content)
    assert only_fault(copy).startswith(f"{copy / 'generator.json'}: damaged: ")


def test_an_edited_checkpoint_is_named(copy: Path) -> None:
    card = copy / "checkpoints" / "round-00001.json"
    card.write_text(card.read_text().replace('"round": 1', '"round": 2'))
    assert only_fault(copy) == f"{card}: damaged: its hash does not match its content"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"epsilon": 1.0}, "it claims epsilon 1, its ledgers say "),
        ({"epsilon": None}, "it claims epsilon inf, its ledgers say "),
        ({"delta": 1e-3}, "it claims epsilon "),
        ({"delta": 2.0}, "its guarantee cannot be recomputed: privacy.delta = 2.0 is not accepted"),
        ({"accountant": "rdp"}, "it claims epsilon "),
        ({"accountant": "none"}, "its guarantee cannot be recomputed: privacy.accountant = 'none' is unknown"),
        ({"level": "client"}, "its ledgers say inf"),
        ({"level": "none"}, "its ledgers say inf"),
    ],
)
def test_what_the_card_claims_is_recomputed(copy: Path, write_card: Callable, changes: Any, what: str) -> None:
    write_card(copy / "generator.json", **changes)
    assert only_fault(copy).startswith(f"{copy / 'generator.json'}: ")
    assert what in only_fault(copy)


def test_a_card_that_hides_its_trust_is_named(copy: Path, write_card: Callable) -> None:
    for path in (copy / "ledgers").iterdir():
        path.unlink()
    path = ledger(copy / "ledgers" / "client-a.jsonl", Gaussian(2.0), trust="aggregator")
    shutil.rmtree(copy / "checkpoints")
    head = read_ledger(path)[-1].hash
    spent = audit_budget([path]).epsilon
    write_card(copy / "generator.json", ledger_heads={"a": head}, epsilon=spent, trust="aggregator", run="run")
    assert verify([copy]).intact
    for run in ("run", "one that charged nothing"):
        write_card(copy / "generator.json", trust="local", run=run)
        assert only_fault(copy).endswith("it claims local trust, its ledgers hold charges that trust the server")


def test_a_card_need_not_know_whom_earlier_runs_on_its_ledgers_trusted(copy: Path, write_card: Callable) -> None:
    for path in (copy / "ledgers").iterdir():
        path.unlink()
    path = ledger(copy / "ledgers" / "client-a.jsonl", Gaussian(2.0), trust="aggregator", run="earlier")
    ledger(path, Gaussian(2.0))
    shutil.rmtree(copy / "checkpoints")
    facts = {"ledger_heads": {"a": read_ledger(path)[-1].hash}, "epsilon": audit_budget([path]).epsilon}
    write_card(copy / "generator.json", **facts, trust="local", run="run")
    assert verify([copy]).intact


def test_a_ledger_that_went_on_after_the_run_still_fits_its_card(copy: Path) -> None:
    with Ledger.open(copy / "ledgers" / "client-00000.jsonl", client="00000", dataset=b"00000", records=100) as opened:
        charge(opened, 1, 2.0, run="run-2")
    assert verify([copy]).intact


def test_a_checkpoint_that_names_an_older_line_than_the_one_before_is_named(copy: Path, write_card: Callable) -> None:
    old = json.loads((copy / "checkpoints" / "round-00001.json").read_text())["ledger_heads"]
    write_card(copy / "checkpoints" / "round-00003.json", ledger_heads=old)
    faults = verify([copy]).faults
    assert {fault.path.name for fault in faults} == {"round-00003.json"}
    assert "it names line 3 of client '00000', where an earlier file names line 4" in faults[0].what


def test_clients_that_hold_the_same_records_are_a_warning(tmp_path: Path) -> None:
    path = ledger(tmp_path / "a.jsonl", Gaussian(2.0))
    rows = [json.loads(line) | {"client": "b"} for line in path.read_text().splitlines()]
    (tmp_path / "b.jsonl").write_bytes(b"".join(resealed(rows)))
    (warning,) = verify([tmp_path]).warnings
    assert warning.what == "clients 'a' and 'b' committed to the same records: their charges add up"


def test_a_run_without_privacy_is_checked_for_its_digest(copy: Path, write_card: Callable) -> None:
    shutil.rmtree(copy / "ledgers")
    shutil.rmtree(copy / "checkpoints")
    write_card(copy / "generator.json", level="none", ledger_heads={}, epsilon=None)
    assert verify([copy]).intact
    (copy / "generator.safetensors").write_bytes(b"other")
    assert not verify([copy]).intact


def test_ledgers_that_lie_elsewhere_are_found_by_the_configuration(copy: Path, tmp_path: Path) -> None:
    lasting = (copy / "ledgers").rename(tmp_path / "lasting")
    (copy / "config.toml").write_text(f"[privacy]\nledgers = '{lasting}'\n")
    assert verify([copy]).intact
    (copy / "config.toml").write_text("[privacy]\nledgers = ''\n")
    assert "it names a ledger of client '00000'" in str(verify([copy]).faults[0])
    assert verify([copy, lasting]).intact


def test_many_ledgers_are_divided_among_processes(finished: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedgan.audit.parallel._WORTH_IT", 0)
    assert verify([finished], workers=2) == verify([finished])
    path = copy / "ledgers" / "client-00001.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    assert verify([copy], workers=2).faults == verify([copy]).faults != ()


def test_a_path_without_anything_to_verify_is_refused(tmp_path: Path) -> None:
    for paths, message in (([tmp_path / "none"], "does not exist"), ([tmp_path], "no ledger"), ([], "no path")):
        with pytest.raises(UsageError, match=message):
            verify(paths)
