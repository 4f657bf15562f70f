"""A server that meets its clients elsewhere: who they are, who is missing, and what ledgers it keeps of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Message

from fedgan.audit.budget import audit_budget
from fedgan.config import Config, to_toml
from fedgan.errors import FedganError, IntegrityError
from fedgan.federation.card import read_card
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
    def run(
        *overrides: str,
        nodes: int = 3,
        wrap: Callable[[Any], Any] = lambda site: site,
        names: Any = None,
        resume: bool = False,
        rounds: int = 1,
        minimum: int = 1,
        grid_type: type[InProcessGrid] = InProcessGrid,
    ) -> RunFolder:
        config = tiny_config(
            f"federation.rounds={rounds}",
            f"federation.minimum_clients={minimum}",
            "federation.round_timeout=0.2",
            "privacy.lifetime_epsilon=100",
            *overrides,
        )
        folder = RunFolder(tmp_path / "run")
        if not resume:
            folder.create(to_toml(config))
        sites = check(config, tmp_path / "sites")
        grid = grid_type(client_app(lambda context: wrap(site(sites, int(context.node_config["partition-id"])))), nodes)
        terms = Terms(patience=0.2, names=names or NAMES, copies=LedgerCopies(folder.ledgers))
        run_server(grid, config, folder, folder.ledgers, resume=resume, observer=watcher(), terms=terms)
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


class Forgetful(Elsewhere):
    """A site that leaves the last charge out when it is asked who it is."""

    def describe(self) -> Description:
        lines = self._lines().splitlines(keepends=True)
        return replace(self._vault.describe(), ledger="".join(lines[:-1]))


def forgetful(site: Elsewhere) -> Elsewhere:
    return Forgetful(site._vault, site._ledger) if "00001" in site._ledger.name else site


@pytest.mark.privacy
def test_a_ledger_that_does_not_continue_at_the_end_is_named_and_stops_nothing(serve: Callable[..., RunFolder]) -> None:
    folder = serve(wrap=forgetful)
    card = read_card(folder)
    assert card["ledger_faults"] == {"00001": "its ledger does not continue the one it showed before"}
    assert card["epsilon"] == audit_budget([folder.path], accountant="rdp").epsilon
    assert set(card["ledger_heads"]) == set(NAMES.values())


def test_a_run_goes_on_without_a_client_that_is_gone(serve: Callable[..., RunFolder]) -> None:
    serve()
    folder = serve(resume=True, nodes=2, rounds=2)
    assert [row["clients"] for row in folder.read_metrics()] == [[*NAMES.values()]] * 2 + [["00000", "00001"]]
    assert folder.read_metrics()[-1]["refused"] == {"00002": "no answer in time"}
    assert folder.read_metrics()[-1]["answers"]["late"] == 1


@pytest.mark.privacy
def test_a_run_goes_on_without_a_ledger_that_does_not_continue(serve: Callable[..., RunFolder]) -> None:
    serve()
    folder = serve(resume=True, rounds=2, wrap=forgetful)
    assert folder.read_metrics()[-1]["round"] == 2
    with pytest.raises(IntegrityError, match="client 00001: its ledger does not continue"):
        serve(resume=True, rounds=3, minimum=3, wrap=forgetful)


def test_too_few_to_go_on_with_are_named(serve: Callable[..., RunFolder]) -> None:
    serve()
    with pytest.raises(FedganError, match=r"2 clients answered but federation.minimum_clients = 3: missing are 00002"):
        serve(resume=True, nodes=2, minimum=3)


class Forgets(InProcessGrid):
    """Loses the first questions to a node, as a SuperNode does whose SuperLink is killed while it holds them."""

    lost = 1

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        identifiers = []
        for message in messages:
            identifiers += super().push_messages([message])
            if message.metadata.dst_node_id == 1002 and self.lost:
                self.lost -= 1
                self._replies.pop(identifiers[-1])
        return identifiers


class ForgetsTwice(Forgets):
    lost = 2


def test_whose_question_was_lost_is_asked_once_more(serve: Callable[..., RunFolder]) -> None:
    folder = serve(grid_type=Forgets)
    assert folder.read_metrics()[-1]["clients"] == [*NAMES.values()]
    assert serve(resume=True, rounds=2, minimum=3, grid_type=Forgets).read_metrics()[-1]["refused"] == {}
    with pytest.raises(FedganError, match=r"2 clients answered .* missing are 00002 \(no answer in time\)"):
        serve(resume=True, rounds=3, minimum=3, grid_type=ForgetsTwice)


def test_a_client_is_asked_again_by_its_own_node_alone(serve: Callable[..., RunFolder]) -> None:
    """Between the questions another node cannot take the name of a client that has answered."""
    with pytest.raises(FedganError, match=r"2 clients answered"):
        serve(grid_type=Forgets, names={**NAMES, 1002: "00000"})


def test_how_long_clients_took_is_told_of_each(serve: Callable[..., RunFolder]) -> None:
    for row in serve().read_metrics()[1:]:
        answers = row["answers"]
        assert set(answers["seconds"]) == set(NAMES.values())
        assert answers["slowest"] == max(answers["seconds"].values()) == answers["seconds"][answers["slowest_client"]]
        assert answers["median"] == sorted(answers["seconds"].values())[1]
        assert answers["late"] == 0


@pytest.mark.privacy
def test_who_takes_part_is_not_told_by_times(serve: Callable[..., RunFolder]) -> None:
    rows = serve(
        "privacy.level=client", "privacy.trust=aggregator", "federation.algorithm=dp_fedavg_gan"
    ).read_metrics()
    assert rows[1]["clients"] == []
    assert rows[1]["answers"] == {"median": None, "slowest": None, "slowest_client": None, "late": 0, "seconds": {}}
