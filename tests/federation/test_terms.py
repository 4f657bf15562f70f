"""A server that meets its clients elsewhere: who they are, who is missing, and what ledgers it keeps of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedgan.audit.budget import audit_budget
from fedgan.config import Config, to_toml
from fedgan.errors import FedganError, IntegrityError
from fedgan.federation.grid import InProcessGrid
from fedgan.federation.ledger_copies import LedgerCopies
from fedgan.federation.relay import client_app
from fedgan.federation.requests import Description, EmbedRequest, Release, TrainRequest
from fedgan.federation.run import Terms, run_server
from fedgan.federation.simulation import check
from fedgan.runs import RunFolder

MakeConfig = Callable[..., Config]
NAMES = {1000: "00000", 1001: "00001", 1002: "00002"}


class Elsewhere:
    """A site whose ledger does not lie in the run folder."""

    def __init__(self, vault: Any, ledger: Path) -> None:
        self._vault = vault
        self._ledger = ledger

    def _lines(self) -> str:
        return self._ledger.read_text() if self._ledger.exists() else ""

    def describe(self) -> Description:
        return replace(self._vault.describe(), ledger=self._lines())

    def embed(self, request: EmbedRequest) -> Release:
        return replace(self._vault.embed(request), ledger=self._lines())

    def train(self, request: TrainRequest) -> Release:
        return replace(self._vault.train(request), ledger=self._lines())


@pytest.fixture
def serve(tiny_config: MakeConfig, tmp_path: Path, watcher: Any) -> Callable[..., RunFolder]:
    def run(*, nodes: int = 3, wrap: Callable[[Any], Any] = lambda site: site, names: Any = None) -> RunFolder:
        config = tiny_config("federation.rounds=1")
        folder = RunFolder(tmp_path / "run")
        folder.create(to_toml(config))
        sites = check(config, tmp_path / "sites")
        grid = InProcessGrid(
            client_app(lambda context: wrap(site(sites, int(context.node_config["partition-id"])))), nodes
        )
        terms = Terms(patience=0.2, names=names or NAMES, copies=LedgerCopies(folder.ledgers))
        run_server(grid, config, folder, folder.ledgers, resume=False, observer=watcher(), terms=terms)
        return folder

    def site(sites: Any, index: int) -> Elsewhere:
        return Elsewhere(sites.vault(index), tmp_path / "sites" / f"client-{index:05d}.jsonl")

    return run


@pytest.mark.privacy
def test_the_run_folder_holds_copies_of_the_sites_ledgers(serve: Callable[..., RunFolder], tmp_path: Path) -> None:
    folder = serve()
    for name in NAMES.values():
        file = f"client-{name}.jsonl"
        assert (folder.ledgers / file).read_bytes() == (tmp_path / "sites" / file).read_bytes()
    assert audit_budget([folder.path]).epsilon == audit_budget([tmp_path / "sites"]).epsilon


def test_a_missing_client_is_named(serve: Callable[..., RunFolder]) -> None:
    with pytest.raises(FedganError, match=r"2 clients answered but partition.clients = 3: missing are 00002"):
        serve(nodes=2)


def test_a_node_that_takes_anothers_name_is_left_out(serve: Callable[..., RunFolder]) -> None:
    with pytest.raises(FedganError, match=r"missing are 00007"):
        serve(names={**NAMES, 1002: "00007"})


@pytest.mark.privacy
def test_a_site_that_hides_its_ledger_gives_nothing(serve: Callable[..., RunFolder]) -> None:
    class Silent(Elsewhere):
        def _lines(self) -> str:
            return ""

    def wrap(site: Elsewhere) -> Elsewhere:
        return Silent(site._vault, site._ledger) if "00001" in site._ledger.name else site

    folder = serve(wrap=wrap)
    for row in folder.read_metrics():
        assert row["clients"] == ["00000", "00002"]
        assert row["refused"] == {"00001": "came without its ledger"}


@pytest.mark.privacy
def test_a_site_that_shows_another_ledger_at_the_end_stops_the_run(serve: Callable[..., RunFolder]) -> None:
    class Forgetful(Elsewhere):
        def describe(self) -> Description:
            lines = self._lines().splitlines(keepends=True)
            return replace(self._vault.describe(), ledger="".join(lines[:-1]))

    with pytest.raises(IntegrityError, match=r"client 00000: its ledger does not continue"):
        serve(wrap=lambda site: Forgetful(site._vault, site._ledger))
