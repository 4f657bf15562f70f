"""`fedgan evaluate --private-reads EPSILON`: what it tells of training records is noisy, charged, or refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fedgan.cli.app import main
from fedgan.privacy.accounting import epsilon
from fedgan.privacy.ledger import read_ledger

pytestmark = pytest.mark.privacy

RESERVED = 2.0
NAMES = ["near_1_percent", "near_5_percent", "logit_above_median"]


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory, config: Path, tiny: list[str]) -> Callable[..., Path]:
    """Train a tiny run with these settings."""

    def run(*settings: str) -> Path:
        folder = tmp_path_factory.mktemp("runs") / "run"
        changes = [word for setting in settings for word in ("--set", setting)]
        with pytest.raises(SystemExit) as exit_of:
            main(["simulate", str(config), *tiny, *changes, "--output", str(folder), "--quiet"])
        assert exit_of.value.code == 0
        return folder

    return run


@pytest.fixture(scope="module")
def with_room(train: Callable[..., Path]) -> Path:
    """A run that leaves room for an evaluation; not to be changed."""
    return train(f"privacy.evaluation_epsilon={RESERVED}")


@pytest.fixture
def own(with_room: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(with_room, tmp_path / "own"))


def ledgers(run: Path) -> list[Path]:
    return sorted((run / "ledgers").glob("*.jsonl"))


def tear(run: Path, torn: bytes) -> None:
    """Leave the ledger of client 00001 as a crash while it was written does."""
    with ledgers(run)[1].open("ab") as file:
        file.write(torn)


def test_counts_are_charged_and_the_audit_shows_it(fedgan: Callable, own: Path) -> None:
    before = json.loads(fedgan("audit", "budget", own, "--json").out)
    charged = [read_ledger(path) for path in ledgers(own)]
    document = json.loads(fedgan("evaluate", own, "--private-reads", RESERVED, "--json").out)
    found = document["private_reads"]
    after = json.loads(fedgan("audit", "budget", own, "--json").out)
    assert [len(read_ledger(path)) - len(lines) for path, lines in zip(ledgers(own), charged, strict=True)] == [1] * 3
    for path, client, told in zip(ledgers(own), after["clients"], found["clients"], strict=True):
        lines = read_ledger(path)
        together = epsilon([line.event for line in lines if line.event], delta=after["delta"])
        assert client["epsilon"] == told["epsilon"] == pytest.approx(together, rel=1e-9)
        alone = epsilon([lines[-1].event], delta=after["delta"])  # type: ignore[list-item]
        assert 0.99 * RESERVED < alone <= RESERVED
        assert told["noise_std"] == lines[-1].row["noise_std"] == pytest.approx(3**0.5 * found["noise_multiplier"])
    assert before["epsilon"] + 0.05 < after["epsilon"] == found["all"]["epsilon"] <= 10
    assert fedgan("audit", "verify", own).code == 0


def test_what_is_told_is_what_was_asked(fedgan: Callable, own: Path) -> None:
    found = json.loads(fedgan("evaluate", own, "--private-reads", RESERVED, "--json").out)["private_reads"]
    assert "under Gaussian noise" in found["statement"]
    assert (found["epsilon"], found["delta"], found["test_records"]) == (RESERVED, 1e-4, 360)
    assert found["expected"] == {"near_1_percent": 4 / 360, "near_5_percent": 18 / 360, "logit_above_median": 0.5}
    assert [client["records"] for client in found["clients"]] == [479] * 3
    total, spread = found["all"], 6 * found["all"]["noise_std"] / 1437
    assert total["records"] == 1437
    for name in NAMES:
        assert total["counts"][name] == pytest.approx(sum(client["counts"][name] for client in found["clients"]))
        assert total["shares"][name] == pytest.approx(found["expected"][name], abs=spread + 0.1)


def test_the_table_says_what_was_read_and_keeps_shares_in_their_range(fedgan: Callable, own: Path) -> None:
    text = " ".join(fedgan("evaluate", own, "--private-reads", 0.01).out.split())
    assert "Counts over all training records of each client, under Gaussian noise." in text
    assert "NOT PRIVATE" not in text
    row = next(line for line in text.split("│ all")[1:])
    shares = [float(word) for word in row.split("└")[0].replace("│", " ").split()[-3:]]
    assert all(0 <= share <= 1 for share in shares)  # the noise is hundreds of records


def test_the_noise_differs_between_two_calls(fedgan: Callable, own: Path) -> None:
    calls = [json.loads(fedgan("evaluate", own, "--private-reads", 0.5, "--json").out) for _ in range(2)]
    assert json.loads((own / "evaluation.json").read_text())["private_reads"] == [c["private_reads"] for c in calls]
    fedgan("evaluate", own)
    assert len(json.loads((own / "evaluation.json").read_text())["private_reads"]) == 2
    first, second = ([client["counts"] for client in call["private_reads"]["clients"]] for call in calls)
    assert all(one[name] != other[name] for one, other in zip(first, second, strict=True) for name in NAMES)
    rounds = [[line.row["round"] for line in read_ledger(path) if line.event] for path in ledgers(own)]
    assert rounds == [[0, 1, 2, 3, 4]] * 3


def test_a_read_without_room_is_refused_whole(refused: Callable, contents: Callable, run: Path) -> None:
    before = contents(run)
    line = refused("evaluate", run, "--private-reads", 2)
    assert line.startswith("--private-reads 2: client 00000 has spent epsilon 9.9")
    assert "more than the 10 that it promised: train with privacy.evaluation_epsilon = 2" in line
    assert contents(run) == before


def test_more_than_was_left_is_refused_for_all_clients(refused: Callable, contents: Callable, own: Path) -> None:
    before = contents(own)
    assert "--private-reads 2.5: client 00000" in refused("evaluate", own, "--private-reads", 2.5)
    assert contents(own) == before


def test_one_client_without_room_leaves_all_uncharged(
    fedgan: Callable, refused: Callable, contents: Callable, own: Path
) -> None:
    others = own.parent / "others"
    shutil.copytree(own, others)
    fedgan("evaluate", own, "--private-reads", RESERVED)
    shutil.copy(own / "ledgers" / "client-00002.jsonl", others / "ledgers")
    before = contents(others)
    assert "client 00002 has spent" in refused("evaluate", others, "--private-reads", RESERVED)
    assert contents(others) == before


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_an_epsilon_that_is_none_is_refused(refused: Callable, contents: Callable, run: Path, value: str) -> None:
    before = contents(run)
    assert "is not accepted: give a positive number" in refused("evaluate", run, f"--private-reads={value}")
    assert contents(run) == before


def test_who_has_not_the_owners_salts_is_refused(refused: Callable, own: Path) -> None:
    (own / "ledgers" / "client-00001.salt").unlink()
    line = refused("evaluate", own, "--private-reads", RESERVED)
    assert "client-00001.salt is not here: only who owns a run's records may read them" in line
    assert all(len(read_ledger(path)) == 4 for path in ledgers(own))


def test_a_run_whose_records_are_at_its_sites_is_refused(refused: Callable, contents: Callable, own: Path) -> None:
    for path in (own / "ledgers").iterdir():
        path.rename(path.with_name(path.name.replace("0000", "site-")))  # as a server keeps its clients' ledgers
    before = contents(own)
    assert "its records are at its sites" in refused("evaluate", own, "--private-reads", RESERVED)
    assert contents(own) == before


def test_a_run_of_a_gpu_is_read_without_one(fedgan: Callable, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    card = json.loads((own / "generator.json").read_text())
    card["config"]["device"] = "cuda"
    (own / "generator.json").write_text(json.dumps(card))
    assert fedgan("evaluate", own, "--private-reads", RESERVED, "--json").code == 0


def test_other_records_are_refused(refused: Callable, own: Path) -> None:
    (own / "ledgers" / "client-00002.salt").write_bytes(bytes(32))
    line = refused("evaluate", own, "--private-reads", RESERVED)
    assert "are not those of client 00002, whose ledger commits to others" in line
    assert all(len(read_ledger(path)) == 4 for path in ledgers(own))


@pytest.mark.parametrize("torn", [b'{"version":1,"seq', b"\xff"])
def test_a_torn_ledger_is_repaired_as_at_resume(fedgan: Callable, own: Path, torn: bytes) -> None:
    tear(own, torn)
    assert fedgan("evaluate", own, "--private-reads", RESERVED, "--json").code == 0
    lines = [read_ledger(path) for path in ledgers(own)]
    assert [[line.row.get("recovered", {}).get("bytes") for line in part[4:]] for part in lines] == [
        [None],
        [len(torn), None],
        [None],
    ]
    assert all(part[-1].event is not None for part in lines)
    assert fedgan("audit", "verify", own).code == 0


@pytest.mark.parametrize("salt", [None, bytes(32)], ids=["no salt", "other records"])
def test_a_torn_ledger_is_not_repaired_before_its_owner_is_known(
    refused: Callable, contents: Callable, own: Path, salt: bytes | None
) -> None:
    tear(own, b'{"version":1,"seq')
    file = own / "ledgers" / "client-00001.salt"
    file.unlink() if salt is None else file.write_bytes(salt)
    before = contents(own)
    line = refused("evaluate", own, "--private-reads", RESERVED)
    assert ("only who owns a run's records" if salt is None else "are not those of client 00001") in line
    assert contents(own) == before


def test_a_ledger_damaged_before_its_torn_line_is_refused(refused: Callable, contents: Callable, own: Path) -> None:
    tear(own, b"torn")
    path = ledgers(own)[1]
    path.write_bytes(path.read_bytes().replace(b'"round":1', b'"round":2'))
    before = contents(own)
    assert "client-00001.jsonl:3: " in refused("evaluate", own, "--private-reads", RESERVED, code=4)
    assert contents(own) == before


def test_without_a_level_the_counts_are_exact_and_say_so(fedgan: Callable, train: Callable[..., Path]) -> None:
    run = train("privacy.level='none'")
    first, second = (
        json.loads(fedgan("evaluate", run, "--private-reads", 1, "--json").out)["private_reads"] for _ in range(2)
    )
    assert first == second
    assert (first["epsilon"], first["delta"], first["noise_multiplier"]) == (None, None, 0)
    assert all(count == int(count) for client in first["clients"] for count in client["counts"].values())
    assert "without noise and without a charge" in first["statement"]
    assert not ledgers(run)
    assert "private_reads" not in json.loads((run / "evaluation.json").read_text())
    assert "NOT PRIVATE: Counts over all" in " ".join(fedgan("evaluate", run, "--private-reads", 1).out.split())
