"""The audit recomputes from the lines alone what was spent."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from fedgan.audit.budget import audit_budget
from fedgan.errors import IntegrityError, UsageError
from fedgan.privacy.accounting import epsilon
from fedgan.privacy.events import Event, Gaussian, PoissonSampled, SelfComposed
from fedgan.privacy.ledger import Ledger, read_ledger

pytestmark = pytest.mark.privacy

ROUND = SelfComposed(30, PoissonSampled(0.2, Gaussian(3.0)))
WARM_START = Gaussian(4.0)


def ledger(
    path: Path, client: str, events: list[Event], *, delta: float = 1e-5, records: int = 100, **kind: str
) -> Path:
    with Ledger.open(path, client=client, dataset=client.encode(), records=records) as opened:
        for number, event in enumerate(events):
            opened.charge(event, run="run", round=number, clip=1.0, noise_std=3.0, delta=delta, **kind)
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    ledger(folder / "ledgers" / "client-00000.jsonl", "00000", [WARM_START, ROUND])
    ledger(folder / "ledgers" / "client-00001.jsonl", "00001", [WARM_START, ROUND, ROUND, ROUND], records=50)
    (folder / "metrics.jsonl").write_text("{}\n")
    return folder


def test_report_has_the_documented_form_and_values(run: Path) -> None:
    report = audit_budget([run]).to_dict()
    first = epsilon([WARM_START, ROUND], delta=1e-5)
    second = epsilon([WARM_START, ROUND, ROUND, ROUND], delta=1e-5)
    heads = [read_ledger(run / "ledgers" / f"client-0000{i}.jsonl")[-1].hash for i in range(2)]
    assert report == {
        "epsilon": second,
        "delta": 1e-5,
        "level": "record",
        "accountant": "pld",
        "limit": None,
        "within_limit": True,
        "clients": (
            [
                {"client": "00000", "records": 100, "epsilon": first, "delta": 1e-5, "charges": 2, "head": heads[0]}
                | {"level": "record", "trust": "local"},
                {"client": "00001", "records": 50, "epsilon": second, "delta": 1e-5, "charges": 4, "head": heads[1]}
                | {"level": "record", "trust": "local"},
            ]
        ),
        "levels": [
            {
                "level": "record",
                "trust": "local",
                "epsilon": second,
                "delta": 1e-5,
                "neighbours": "add or remove one record of one client",
                "protected": "every single record of every client",
                "from": "everyone, the server and the other clients included",
            }
        ],
        "overlap": "none",
        "notes": [],
    }
    assert list(report)[:7] == ["epsilon", "delta", "level", "accountant", "limit", "within_limit", "clients"]
    json.dumps(report, allow_nan=False)


def test_run_folder_ledger_folder_and_files_agree(run: Path) -> None:
    folder = run / "ledgers"
    expected = audit_budget([run])
    assert audit_budget([folder]) == expected
    assert audit_budget(sorted(folder.glob("*.jsonl"))) == expected
    assert audit_budget([run, folder]) == expected


def test_an_earlier_copy_counts_once(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    path = run / "ledgers" / "client-00000.jsonl"
    shutil.copy(path, copy)
    ledger(path, "00000", [ROUND])
    assert audit_budget([run, copy]) == audit_budget([run])
    assert audit_budget([copy, run]).clients[0].charges == 3


def test_different_ledgers_of_one_client_add_up(tmp_path: Path) -> None:
    first = ledger(tmp_path / "a.jsonl", "00000", [ROUND])
    second = ledger(tmp_path / "b.jsonl", "00000", [ROUND, WARM_START])
    report = audit_budget([first, second])
    assert report.epsilon == epsilon([ROUND, ROUND, WARM_START], delta=1e-5)
    assert report.clients[0].charges == 3


def test_delta_is_the_largest_of_the_lines_unless_given(tmp_path: Path) -> None:
    ledger(tmp_path / "a.jsonl", "a", [ROUND], delta=1e-6)
    ledger(tmp_path / "b.jsonl", "b", [ROUND], delta=1e-4)
    report = audit_budget([tmp_path])
    assert (report.delta, {client.delta for client in report.clients}) == (1e-4, {1e-4})
    assert report.epsilon == epsilon([ROUND], delta=1e-4)
    assert audit_budget([tmp_path], delta=1e-7).epsilon == epsilon([ROUND], delta=1e-7)


def test_the_limit_is_a_limit_on_the_largest(run: Path) -> None:
    spent = audit_budget([run]).epsilon
    assert audit_budget([run], limit=spent).within_limit
    assert not audit_budget([run], limit=spent * 0.999).within_limit
    least = audit_budget([run / "ledgers" / "client-00000.jsonl"]).epsilon
    assert least < spent
    assert not audit_budget([run], limit=least).within_limit


def test_another_accountant(run: Path) -> None:
    report = audit_budget([run], accountant="rdp")
    assert report.accountant == "rdp"
    assert report.epsilon > audit_budget([run]).epsilon


def test_nothing_charged_is_nothing_spent(tmp_path: Path) -> None:
    report = audit_budget([ledger(tmp_path / "a.jsonl", "a", [])], limit=0.0)
    assert (report.epsilon, report.delta, report.within_limit) == (0.0, 0.0, True)


def test_a_charge_without_noise_is_beyond_every_limit(tmp_path: Path) -> None:
    report = audit_budget([ledger(tmp_path / "a.jsonl", "a", [Gaussian(0.0)])], limit=1e9)
    assert report.epsilon == math.inf
    assert not report.within_limit
    assert report.to_dict()["epsilon"] is None


def test_client_level_alone_is_the_level_of_the_report(tmp_path: Path) -> None:
    ledger(tmp_path / "a.jsonl", "a", [ROUND, ROUND], level="client", trust="aggregator")
    ledger(tmp_path / "b.jsonl", "b", [ROUND], level="client")
    report = audit_budget([tmp_path])
    assert (report.level, report.epsilon) == ("client", epsilon([ROUND, ROUND], delta=1e-5))
    assert [(client.level, client.trust) for client in report.clients] == [
        ("client", "aggregator"),
        ("client", "local"),
    ]
    (only,) = report.to_dict()["levels"]
    assert (only["level"], only["trust"], only["epsilon"]) == ("client", "aggregator", report.epsilon)
    assert only["protected"] == "every client, with all its records"
    assert only["from"].startswith("everyone but the server")


@pytest.mark.parametrize("same_client", [True, False])
def test_both_levels_are_each_what_all_charges_bound(tmp_path: Path, same_client: bool) -> None:
    """A record within a hidden client moves its contribution by two clips; a hidden record says nothing of a client."""
    ledger(tmp_path / "a.jsonl", "a", [WARM_START])
    ledger(tmp_path / ("a.jsonl" if same_client else "b.jsonl"), "a" if same_client else "b", [ROUND], level="client")
    unsampled = [SelfComposed(30, Gaussian(1.5))]
    of_records = [epsilon([WARM_START, *unsampled], delta=1e-5)] if same_client else [epsilon(unsampled, delta=1e-5)]
    report = audit_budget([tmp_path])
    assert (report.level, report.epsilon) == ("record", of_records[0])
    assert [(level.level, level.epsilon) for level in report.levels] == [
        ("record", of_records[0]),
        ("client", math.inf),
    ]
    assert report.to_dict()["levels"][1]["epsilon"] is None
    assert {client.level for client in report.clients} == ({"record"} if same_client else {"record", "client"})


def test_overlapping_clients_add_epsilons_and_deltas_up(run: Path) -> None:
    ledger(run / "ledgers" / "client-00002.jsonl", "00002", [])
    apart, summed = audit_budget([run]), audit_budget([run], overlap="sum")
    spent = [client.epsilon for client in apart.clients]
    assert (apart.epsilon, apart.delta) == (max(spent), 1e-5)
    assert summed.epsilon == pytest.approx(sum(spent), rel=1e-12)
    assert summed.delta == pytest.approx(2e-5, rel=1e-12)  # the third was charged nothing
    assert summed.clients == apart.clients
    assert not audit_budget([run], overlap="sum", limit=apart.epsilon).within_limit
    (level,) = summed.to_dict()["levels"]
    assert level["protected"] == "every person who has at most one record at each client"
    with pytest.raises(UsageError, match="overlap = 'max' is not accepted"):
        audit_budget([run], overlap="max")


@pytest.mark.privacy
def test_who_is_at_one_client_of_each_run_adds_the_dearest_up(tmp_path: Path) -> None:
    """Run A charged client 0 ten times, run B client 1: a person in A's 0 and B's 1 paid for twenty."""
    events = [Gaussian(2.0)]
    for run, dear in (("a", "00000"), ("b", "00001")):
        for client in ("00000", "00001"):
            path = tmp_path / run / f"client-{client}.jsonl"
            ledger(path, client, events * (10 if client == dear else 1))
    runs = [tmp_path / "a", tmp_path / "b"]
    alone = [audit_budget([run]).epsilon for run in runs]
    met = audit_budget(runs, overlap="runs")
    assert met.epsilon == pytest.approx(sum(alone), rel=1e-12)
    assert met.delta == pytest.approx(2 * audit_budget(runs).delta, rel=1e-12)
    truth = epsilon(events * 20, delta=met.delta)
    assert audit_budget(runs).epsilon < truth <= met.epsilon  # names alone would have said too little
    ((protected, neighbours),) = [(level.protected, level.neighbours) for level in met.levels]
    assert protected == "every person who has at most one record in each run"
    assert neighbours == "add or remove one record of one client of each run"


def test_all_accountants_stand_side_by_side(run: Path) -> None:
    report = audit_budget([run], accountant="all")
    assert (report.accountant, report.epsilon) == ("pld", audit_budget([run]).epsilon)
    for row in (report, *report.clients):
        assert row.accountants is not None
        bounds = row.accountants
        assert set(bounds) == {"pld", "rdp", "prv"}
        assert bounds["pld"].epsilon == row.epsilon
        assert bounds["rdp"].epsilon is not None
        assert bounds["rdp"].epsilon >= row.epsilon
        prv = bounds["prv"]
        assert prv.low is not None
        assert prv.low - 1e-3 <= row.epsilon <= prv.high + 1e-3  # pld itself lies within 0.001 above the truth
        assert prv.high == prv.epsilon
        assert 0 < prv.high - prv.low < 0.05
    printed = report.to_dict()
    assert (
        set(printed["accountants"]["prv"])
        == set(printed["clients"][0]["accountants"]["prv"])
        == {
            "epsilon",
            "low",
            "high",
        }
    )
    summed = audit_budget([run], accountant="all", overlap="sum")
    assert summed.accountants is not None
    assert summed.accountants["pld"].epsilon == summed.epsilon


def test_ledgers_of_one_commitment_are_about_the_same_records(tmp_path: Path) -> None:
    """A ledger begun anew beside its salt, under whatever name, is about the same records."""
    first = ledger(tmp_path / "a.jsonl", "00000", [ROUND])
    first.rename(tmp_path / "first.jsonl")
    with Ledger.open(first, client="renamed", dataset=b"00000", records=100) as opened:
        opened.charge(WARM_START, run="run", round=0, clip=1.0, noise_std=4.0, delta=1e-5)
    report = audit_budget([tmp_path])
    (client,) = report.clients
    assert client.client == "00000+renamed"
    assert client.epsilon == report.epsilon == epsilon([ROUND, WARM_START], delta=1e-5)
    assert report.notes == (
        "2 ledgers of client 00000+renamed carry one commitment: they are about the same records, and their charges "
        "are composed",
    )


def test_ledgers_of_one_name_may_be_about_the_same_records(tmp_path: Path) -> None:
    for name in ("first", "second"):
        ledger(tmp_path / name / "client-00000.jsonl", "00000", [ROUND])
    report = audit_budget([tmp_path / "first", tmp_path / "second"])
    assert report.epsilon == epsilon([ROUND, ROUND], delta=1e-5)
    assert "carry 2 commitments: each ledger salts its own, so these may be the same records" in report.notes[0]


def test_groups_that_a_third_ledger_joins_become_one(tmp_path: Path) -> None:
    a = ledger(tmp_path / "a" / "x.jsonl", "a", [ROUND])
    b = ledger(tmp_path / "b" / "x.jsonl", "b", [WARM_START])
    joining = tmp_path / "c" / "x.jsonl"
    joining.parent.mkdir()
    shutil.copy(a.with_suffix(".salt"), joining.with_suffix(".salt"))
    with Ledger.open(
        joining, client="b", dataset=b"a", records=100
    ) as opened:  # the name of one, the records of another
        opened.charge(ROUND, run="run", round=0, clip=1.0, noise_std=3.0, delta=1e-5)
    (client,) = audit_budget([a, b, joining]).clients
    assert client.client == "a+b"
    assert client.epsilon == epsilon([ROUND, ROUND, WARM_START], delta=1e-5)


@pytest.mark.parametrize(("trust", "seen"), [("local", True), ("aggregator", False)])
def test_a_run_says_what_each_party_sees(tmp_path: Path, trust: str, seen: bool) -> None:
    ledger(tmp_path / "ledgers" / "a.jsonl", "a", [ROUND], trust=trust)
    assert "adversaries" not in audit_budget([tmp_path]).to_dict()
    (tmp_path / "config.toml").write_text("")
    report = audit_budget([tmp_path])
    server, clients, public = report.to_dict()["adversaries"]
    assert [party["who"] for party in (server, clients, public)] == ["server", "other clients", "public"]
    assert server["epsilon"] == (report.epsilon if seen else None)
    assert ("before any noise" in server["sees"]) is not seen
    assert clients["epsilon"] == public["epsilon"] == report.epsilon


def test_bad_paths_and_values(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for paths, message in (([tmp_path / "none"], "does not exist"), ([tmp_path / "empty"], "no ledger"), ([], "path")):
        with pytest.raises(UsageError, match=message):
            audit_budget(paths)
    with pytest.raises(UsageError, match=r"privacy\.delta"):
        audit_budget([run], delta=2.0)
    with pytest.raises(UsageError, match="limit"):
        audit_budget([run], limit=math.nan)
    with pytest.raises(UsageError, match=r"privacy\.accountant"):
        audit_budget([run], accountant="none")


def test_a_damaged_ledger_is_named(run: Path) -> None:
    path = run / "ledgers" / "client-00001.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"count":30', b'"count":3'))
    with pytest.raises(IntegrityError, match=r"client-00001\.jsonl:3: "):
        audit_budget([run])
