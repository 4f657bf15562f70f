"""A clock behind a ledger stops that client before anything is computed, and the run if it is everyone's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fedgan.audit.verify import verify
from fedgan.cli.app import main
from fedgan.config import Config, to_toml
from fedgan.errors import ClockError, FedganError
from fedgan.federation import vault
from fedgan.federation.clients import discover
from fedgan.federation.embeddings import WarmStart
from fedgan.federation.grid import InProcessGrid
from fedgan.federation.relay import client_app
from fedgan.federation.requests import EmbedRequest
from fedgan.federation.server import Server
from fedgan.federation.simulation import Outcome
from fedgan.federation.strategy import GanStrategy
from fedgan.federation.vault import Vault
from fedgan.privacy import ledger_clock
from fedgan.privacy.ledger import read_ledger

pytestmark = pytest.mark.privacy

MakeConfig = Callable[..., Config]
MakeVault = Callable[..., Vault]
DAY = timedelta(days=1)


@contextmanager
def clock_off_by(off: timedelta) -> Iterator[None]:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(UTC) + off

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger_clock, "datetime", Clock)
        yield


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The clients of which records were embedded or drawn, in order."""
    seen: list[str] = []
    for name in ("_batches", "_drawn"):
        original = getattr(Vault, name)
        monkeypatch.setattr(
            Vault,
            name,
            lambda self, *arguments, original=original: (seen.append(self._client), original(self, *arguments))[1],
        )
    embed = vault.embed
    monkeypatch.setattr(vault, "embed", lambda *arguments: (seen.append("embedded"), embed(*arguments))[1])
    return seen


def test_a_vault_with_a_ledger_from_the_future_computes_nothing(make_vault: MakeVault, computed: list[str]) -> None:
    site = make_vault()
    with clock_off_by(DAY):
        site.repair_ledger()
    with pytest.raises(ClockError):
        site.embed(EmbedRequest(run="run-1", features=8, feature_seed=1))
    assert (computed, len(read_ledger(site._ledger))) == ([], 1)


def test_the_server_goes_on_without_a_client_whose_clock_is_behind(
    make_server: Callable[..., Server],
    make_vault: MakeVault,
    warm_start: WarmStart,
    watcher: Any,
    computed: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    vaults = [make_vault(client=name, participations=1) for name in ("00000", "00001")]
    with clock_off_by(DAY):
        vaults[1].repair_ledger()
    before = vaults[1]._ledger.read_bytes()
    watch = watcher()
    grid = InProcessGrid(client_app(lambda context: vaults[int(context.node_config["partition-id"])]), 2)
    strategy = GanStrategy(
        make_server(warm_start=warm_start),
        discover(grid, timeout=None),
        fraction=1.0,
        rounds=1,
        seed=0,
        time_limit=0.0,
        observer=watch,
    )
    strategy.start(grid)
    assert [(report.clients, report.refused) for report in watch.reports] == [
        (["00000"], {"00001": "clock_behind"})
    ] * 2
    assert "round 1 goes on without client 00001: clock_behind" in caplog.text
    assert vaults[1]._ledger.read_bytes() == before
    assert "00001" not in computed
    assert set(computed) == {"embedded", "00000"}


def test_the_command_refuses_a_ledger_from_the_future(
    tiny_config: MakeConfig, run: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config("federation.rounds=1", f"privacy.ledgers='{tmp_path / 'ledgers'}'")
    (tmp_path / "run.toml").write_text(to_toml(config))
    with clock_off_by(DAY):
        run(config, tmp_path / "first")
    before = {path: path.read_bytes() for path in (tmp_path / "ledgers").iterdir()}
    capfd.readouterr()
    with pytest.raises(SystemExit, match="1"):
        main(["simulate", str(tmp_path / "run.toml"), "--output", str(tmp_path / "second")])
    said = capfd.readouterr()
    ledger = tmp_path / "ledgers" / "client-00000.jsonl"
    last = read_ledger(ledger)[-1].row["time"]
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert said.err.startswith(
        f"fedgan: {ledger}: the last line of client 00000 was written at {last}, but this machine's clock says "
    )
    assert "set the clock right" in said.err
    assert {path: path.read_bytes() for path in (tmp_path / "ledgers").iterdir()} == before
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize("algorithm", [[], ["client"]])
def test_a_run_whose_clock_goes_back_stops_and_goes_on_when_it_is_right(
    tiny_config: MakeConfig, run: Callable[..., Outcome], tmp_path: Path, watcher: Any, algorithm: list[str]
) -> None:
    whole = ("privacy.level=client", "privacy.trust=aggregator", "federation.algorithm=dp_fedavg_gan")
    config = tiny_config(*(whole if algorithm else ()), "training.warm_start=none")

    class SetsTheClockBack(watcher):  # type: ignore[misc]
        def after_round(self, server: Server, report: Any, seconds: float) -> None:
            super().after_round(server, report, seconds)
            context.__enter__()

    context = clock_off_by(-DAY)
    watch = SetsTheClockBack()
    try:
        with pytest.raises(
            FedganError, match=r"^round 2: 0 good answers, .*00000: clock_behind; .*; --resume asks again$"
        ) as caught:
            run(config, tmp_path / "run", observer=watch)
    finally:
        context.__exit__(None, None, None)
    assert caught.value.exit_code == 1
    assert [report.round for report in watch.reports] == [1]
    ledger = tmp_path / "run" / "ledgers" / "client-00000.jsonl"
    assert len(read_ledger(ledger)) == 2
    assert run(config, tmp_path / "run", resume=True).stopped == ""
    assert len(read_ledger(ledger)) == 4  # each of three rounds was charged once
    assert verify([tmp_path / "run"]).intact
