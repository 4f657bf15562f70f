"""A client that fails is named and left out, and the round goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from threading import Event
from time import monotonic
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, RecordDict

from fedgan.errors import BudgetError, FedganError
from fedgan.federation.clients import discover
from fedgan.federation.embeddings import WarmStart
from fedgan.federation.exchange import exchange, messages_for, read_answers, wait_for_nodes
from fedgan.federation.grid import InProcessGrid
from fedgan.federation.records import to_records
from fedgan.federation.relay import client_app
from fedgan.federation.requests import Description, EmbedRequest, Refusal, Release, TrainRequest
from fedgan.federation.server import Server
from fedgan.federation.strategy import GanStrategy
from fedgan.federation.vault import Vault
from fedgan.privacy.ledger import read_ledger

MakeVault = Callable[..., Vault]
MakeServer = Callable[..., Server]
CLIENTS = ("00000", "00001", "00002")


class Faulty:
    """A vault whose releases pass through `change`."""

    def __init__(self, vault: Any, change: Callable[[Release], Release]) -> None:
        self._vault = vault
        self._change = change
        self.describe = vault.describe

    def embed(self, request: EmbedRequest) -> Release:
        return self._change(self._vault.embed(request))

    def train(self, request: TrainRequest) -> Release:
        return self._change(self._vault.train(request))


def fill(value: float) -> Callable[[Release], Release]:
    return lambda release: replace(
        release, arrays={name: np.full_like(array, value) for name, array in release.arrays.items()}
    )


def transpose(release: Release) -> Release:
    return replace(release, arrays={name: array.T.copy()[None] for name, array in release.arrays.items()})


def fail(release: Release) -> Release:
    raise RuntimeError("pixel 17")


def refuse(release: Release) -> Release:
    raise Refusal(Refusal.BUDGET_SPENT)


def grid_of(vaults: Iterable[Any]) -> InProcessGrid:
    vaults = list(vaults)
    return InProcessGrid(client_app(lambda context: vaults[int(context.node_config["partition-id"])]), len(vaults))


def strategy_of(server: Server, grid: InProcessGrid, observer: Any, **changes: Any) -> GanStrategy:
    settings = {"fraction": 1.0, "rounds": 2, "seed": 0, "time_limit": 0.0, **changes}
    return GanStrategy(server, discover(grid, timeout=None), observer=observer, **settings)


@pytest.fixture
def vaults(make_vault: MakeVault) -> list[Any]:
    return [make_vault(client=name, level="none") for name in CLIENTS]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (fill(float("nan")), "is not finite"),
        (fill(float("inf")), "is not finite"),
        (transpose, "has shape"),
        (lambda release: replace(release, arrays={}), "is missing"),
        (lambda release: replace(release, round=7), "answers round 7"),
        (lambda release: replace(release, client="00001"), "speaks for another client"),
        (lambda release: replace(release, client="nobody"), "speaks for another client"),
        (lambda release: replace(release, fake_accuracy=2.0), "fake_accuracy"),
        (lambda release: replace(release, noise_std=1), "unreadable reply: noise_std is no float"),
        (fail, "failed"),
        (refuse, "budget_spent"),
    ],
)
def test_a_faulty_client_is_named_and_left_out(
    make_server: MakeServer,
    make_vault: MakeVault,
    vaults: list[Any],
    warm_start: WarmStart,
    watcher: Any,
    change: Callable[[Release], Release],
    word: str,
) -> None:
    faulty = [vaults[0], vaults[1], Faulty(vaults[2], change)]
    results = []
    for parties, start in ((faulty, warm_start), (faulty, None), (vaults, None)):
        server, watch = make_server(warm_start=start), watcher()
        strategy = strategy_of(server, grid_of(parties), watch, rounds=1)
        strategy.start(grid_of(parties))
        assert strategy.stopped == ""
        results.append((server, watch.reports))
    (_, warmed), (server, (report,)), (sound, _) = results
    for found in (*warmed, report):
        assert found.clients == ["00000", "00001"]
        assert set(found.refused) == {"00002"}
        assert word in found.refused["00002"]
        assert "pixel" not in found.refused["00002"]
    assert [found.round for found in warmed] == [0, 1]
    weights = [each.gan.discriminator.state_dict()["head.weight"].numpy() for each in (server, sound)]
    assert np.isfinite(weights[0]).all()
    assert not np.array_equal(*weights)  # it was left out, not merely complained about


def test_a_client_that_answers_twice(make_server: MakeServer, vaults: list[Any]) -> None:
    server = make_server()
    first, second = (vault.train(server.train_request()) for vault in vaults[:2])
    report = server.absorb_round([first, second, first], {}, records=96)
    assert report.clients == ["00001"]
    assert report.refused == {"00000": "answered twice"}


def replies_to(grid: InProcessGrid, content: RecordDict) -> list[Message]:
    return list(grid.send_and_receive([Message(content, node, "train") for node in grid.get_node_ids()]))


def test_only_the_first_reply_of_a_node_counts(make_server: MakeServer, vaults: list[Any]) -> None:
    grid = grid_of(vaults)
    asked = list(grid.get_node_ids())
    replies = replies_to(grid, to_records(make_server().train_request()))
    answers = read_answers([replies[0], replies[0], replies[2]], asked, Release)
    assert list(answers.good) == [asked[0], asked[2]]
    assert answers.refused == {asked[1]: "no answer in time"}


def test_replies_of_strangers_do_not_stop_the_round(make_server: MakeServer, vaults: list[Any], watcher: Any) -> None:
    server = make_server()
    strategy = strategy_of(server, grid_of(vaults[:2]), watcher())
    content = to_records(server.train_request())
    replies = replies_to(grid_of(vaults), content)
    strategy.aggregate_train(1, replies)  # the third node was never discovered
    assert server.round == 1


def test_an_error_in_the_name_of_the_superlink_is_a_node_that_did_not_answer() -> None:
    lost = Message(Error(5, "node unavailable"), reply_to=Message(RecordDict(), 1001, "train"))
    lost.metadata.__dict__["_src_node_id"] = 1
    assert read_answers([lost], [1001], Release).refused == {1001: "no answer in time"}


def test_a_node_that_the_superlink_answers_for_has_not_answered(vaults: list[Any]) -> None:
    class Lossy(InProcessGrid):
        def _answer(self, message: Message) -> Message:
            if message.metadata.dst_node_id != 1001:
                return super()._answer(message)
            lost = Message(Error(5, "node unavailable"), reply_to=message)
            lost.metadata.__dict__["_src_node_id"] = 1
            return lost

    grid = Lossy(grid_of(vaults)._client_app, 3)
    answers = exchange(
        grid, messages_for(dict.fromkeys(grid.get_node_ids(), RecordDict()), "query", "0"), Description, 1
    )
    assert sorted(answers.seconds) == sorted(answers.good) == [1000, 1002]
    assert answers.refused == {1001: "no answer in time"}


def test_a_reply_that_never_comes_to_its_end_holds_up_nobody(vaults: list[Any]) -> None:
    """Flower waits for the pieces of a reply that was announced, however long that takes."""
    given_up = Event()

    class Endless(InProcessGrid):
        def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
            found = list(super().pull_messages(message_ids))
            if any(message.metadata.src_node_id == 1000 for message in found):
                given_up.wait(60)
            return found

    grid = Endless(grid_of(vaults)._client_app, 3)
    asked = messages_for(dict.fromkeys(grid.get_node_ids(), RecordDict()), "query", "0")
    begun = monotonic()
    answers = exchange(grid, asked, Description, 1)
    assert 1 <= monotonic() - begun < 10
    given_up.set()
    assert sorted(answers.good) == [1001, 1002]
    assert answers.refused == {1000: "no answer in time"}


def test_hostile_records_do_not_stop_the_round(make_server: MakeServer, vaults: list[Any], watcher: Any) -> None:
    bad = [
        RecordDict(),
        RecordDict({"fields": ConfigRecord({"client": "00002"})}),
        RecordDict({"fields": ArrayRecord({"client": Array(np.zeros(1))})}),
        RecordDict({"refusal": ConfigRecord({"code": "\x1b[2J"})}),
    ]
    for content in bad:
        parties = grid_of(vaults)
        honest = parties._client_app

        def app(message: Message, context: Context, honest: Any = honest, content: RecordDict = content) -> Message:
            last = context.node_config["partition-id"] == 2 and message.metadata.message_type == "train"
            return Message(content, reply_to=message) if last else honest(message, context)

        parties._client_app = app  # type: ignore[assignment]
        watch = watcher()
        strategy_of(make_server(), parties, watch, rounds=1).start(parties)
        assert watch.reports[0].clients == ["00000", "00001"]
        assert set(watch.reports[0].refused) == {"00002"}
        assert "\x1b" not in watch.reports[0].refused["00002"]


# Budgets, time, and how many are needed


def test_rounds_go_on_without_a_client_whose_budget_is_spent(
    make_server: MakeServer, make_vault: MakeVault, watcher: Any
) -> None:
    parties = [
        make_vault(client="00000", participations=3, warm_start_share=0.0),
        make_vault(client="00001", participations=1, warm_start_share=0.0),
    ]
    watch, grid = watcher(), grid_of(parties)
    strategy = strategy_of(make_server(), grid, watch, rounds=3)
    strategy.start(grid)
    assert [report.clients for report in watch.reports] == [["00000", "00001"], ["00000"], ["00000"]]
    assert [report.refused for report in watch.reports] == [{}, {"00001": "budget_spent"}, {}]  # not asked again
    assert strategy.stopped == ""


def test_nobody_with_budget_left_stops_the_run(make_server: MakeServer, make_vault: MakeVault, watcher: Any) -> None:
    parties = [make_vault(client=name, participations=1, warm_start_share=0.0) for name in CLIENTS]
    watch, grid, server = watcher(), grid_of(parties), make_server()
    strategy = strategy_of(server, grid, watch, rounds=9)
    strategy.start(grid)
    assert strategy.stopped == "no client has budget left"
    assert server.round == 1
    assert [report.clients for report in watch.reports] == [list(CLIENTS)]


def test_who_has_no_budget_for_the_warm_start_is_asked_for_rounds(
    make_server: MakeServer, make_vault: MakeVault, warm_start: WarmStart, watcher: Any
) -> None:
    parties = [make_vault(client=name, warm_start_share=0.9) for name in CLIENTS]
    parties[1].embed(EmbedRequest("a run that was killed", 8, 1))
    watch, grid = watcher(), grid_of(parties)
    strategy_of(make_server(warm_start=warm_start), grid, watch, rounds=1).start(grid)
    assert [report.clients for report in watch.reports] == [["00000", "00002"], list(CLIENTS)]
    assert watch.reports[0].refused == {"00001": "budget_spent"}


def test_no_budget_for_the_warm_start_is_an_error(
    make_server: MakeServer, make_vault: MakeVault, warm_start: WarmStart, watcher: Any
) -> None:
    watch, grid = watcher(), grid_of([make_vault(warm_start_share=0.9)])
    strategy_of(make_server(warm_start=warm_start), grid, watch, rounds=0).start(grid)
    with pytest.raises(BudgetError, match="warm start"):
        strategy_of(make_server(warm_start=warm_start, run="run-2"), grid, watch, rounds=0).start(grid)


def test_nobody_in_the_warm_start_is_an_error(
    make_server: MakeServer, vaults: list[Any], warm_start: WarmStart, watcher: Any
) -> None:
    watch, grid = watcher(), grid_of([Faulty(vault, fail) for vault in vaults])
    with pytest.raises(FedganError, match="no client took part") as error:
        strategy_of(make_server(warm_start=warm_start), grid, watch).start(grid)
    assert not isinstance(error.value, BudgetError)
    assert watch.reports == []


def test_no_round_starts_after_the_time_limit(make_server: MakeServer, vaults: list[Any], watcher: Any) -> None:
    grid, server = grid_of(vaults), make_server()
    strategy = strategy_of(server, grid, watcher(), rounds=50, time_limit=1e-9)
    strategy.start(grid)
    assert strategy.stopped == "time limit of 1e-09 s"
    assert server.round == 0


def test_too_few_clients_change_nothing_and_stop_the_run_in_the_end(
    make_server: MakeServer, make_gan: Callable[..., Any], vaults: list[Any], watcher: Any
) -> None:
    before = make_gan().discriminator.state_dict()["head.weight"].numpy()
    asked: list[int] = []

    def failing(release: Release) -> Release:
        asked.append(release.round)
        raise RuntimeError

    for needed, moved in ((3, False), (2, True)):
        grid, watch, server = grid_of([*vaults[:2], Faulty(vaults[2], failing)]), watcher(), make_server()
        server.minimum_clients = needed
        strategy = strategy_of(server, grid, watch, rounds=1, attempts=4)
        if moved:
            strategy.start(grid)
        else:
            with pytest.raises(
                FedganError, match=r"round 1: 2 good answers, at least 3 .*asked 4 times; 00002: failed"
            ):
                strategy.start(grid)
        assert asked == ([1] if moved else [1] * 4)
        assert server.round == len(watch.reports) == int(moved)
        after = server.gan.discriminator.state_dict()["head.weight"].numpy()
        assert np.array_equal(before, after) is not moved
        asked.clear()


@pytest.mark.privacy
def test_a_round_that_is_asked_again_is_paid_once(make_server: MakeServer, make_vault: MakeVault, watcher: Any) -> None:
    parties: list[Any] = [make_vault(client=name, warm_start_share=0.0) for name in CLIENTS]
    failures = iter([True, True, False, False])

    def at_first(release: Release) -> Release:
        return fail(release) if next(failures) else release

    ledgers = [vault._ledger for vault in parties]
    parties[2] = Faulty(parties[2], at_first)
    watch, grid, server = watcher(), grid_of(parties), make_server(minimum_clients=3)
    strategy_of(server, grid, watch, rounds=2).start(grid)
    assert [report.clients for report in watch.reports] == [list(CLIENTS)] * 2
    assert [len([line for line in read_ledger(path) if line.event]) for path in ledgers] == [2, 2, 2]


def test_a_run_stops_before_a_round_that_too_few_can_pay_for(
    make_server: MakeServer, make_vault: MakeVault, watcher: Any
) -> None:
    parties = [make_vault(client=name, warm_start_share=0.0) for name in CLIENTS[:2]]
    parties.append(make_vault(client=CLIENTS[2], participations=1, warm_start_share=0.0))
    watch, grid, server = watcher(), grid_of(parties), make_server(minimum_clients=3)
    strategy = strategy_of(server, grid, watch, rounds=3)
    strategy.start(grid)
    assert strategy.stopped == "2 of 3 clients have budget left, at least 3 are needed"
    assert [report.round for report in watch.reports] == [1]


def test_a_cohort_without_enough_budget_is_passed_over(
    make_server: MakeServer, make_vault: MakeVault, watcher: Any
) -> None:
    parties = [make_vault(client=name, participations=4, warm_start_share=0.0) for name in CLIENTS[:2]]
    parties.append(make_vault(client=CLIENTS[2], participations=1, warm_start_share=0.0))
    watch, grid, server = watcher(), grid_of(parties), make_server(minimum_clients=2)
    strategy_of(server, grid, watch, rounds=6, fraction=0.67, attempts=9).start(grid)
    assert [report.round for report in watch.reports] == [1, 2, 3, 4, 5, 6]
    passed = [report for report in watch.reports if not report.clients]
    assert passed
    assert all(report.refused == {"00002": "budget_spent"} for report in passed)


def test_a_warm_start_of_too_few_is_asked_again_on_resume(
    make_server: MakeServer, vaults: list[Any], warm_start: WarmStart, watcher: Any
) -> None:
    grid, watch = grid_of([*vaults[:2], Faulty(vaults[2], fail)]), watcher()
    server = make_server(warm_start=warm_start, minimum_clients=3)
    with pytest.raises(FedganError, match="warm start: 2 good answers, at least 3 are needed"):
        strategy_of(server, grid, watch).start(grid)
    assert server.warm_start_pending
    assert watch.reports == []


def test_a_reply_that_cannot_be_put_together_harms_no_other(
    make_server: MakeServer, vaults: list[Any], watcher: Any
) -> None:
    class Torn(InProcessGrid):
        def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
            for reply in super().pull_messages(message_ids):
                if reply.metadata.src_node_id == 1001:
                    raise MemoryError
                yield reply

    torn, watch = Torn(grid_of(vaults)._client_app, 3), watcher()
    strategy_of(make_server(), grid_of(vaults), watch, rounds=1).start(torn)
    assert watch.reports[0].clients == ["00000", "00002"]
    assert watch.reports[0].refused == {"00001": "error code 0"}


def test_a_reply_too_large_is_refused_unread(make_server: MakeServer, vaults: list[Any], watcher: Any) -> None:
    def grow(release: Release) -> Release:
        return replace(release, arrays={name: np.zeros(10**6, np.float32) for name in release.arrays})

    grid, watch = grid_of([*vaults[:2], Faulty(vaults[2], grow)]), watcher()
    strategy_of(make_server(), grid, watch, rounds=1).start(grid)
    assert watch.reports[0].clients == ["00000", "00001"]
    assert "bytes of arrays, over" in watch.reports[0].refused["00002"]


def test_a_server_goes_on_at_its_own_round(make_server: MakeServer, vaults: list[Any], watcher: Any) -> None:
    grid, server, watch = grid_of(vaults), make_server(), watcher()
    server.round = 2
    strategy_of(server, grid, watch, rounds=4).start(grid)
    assert [report.round for report in watch.reports] == [3, 4]


def test_an_unfitted_server_is_fitted_without_asking_again(
    make_server: MakeServer, vaults: list[Any], warm_start: WarmStart, watcher: Any
) -> None:
    server, watch = make_server(warm_start=warm_start), watcher()
    records = dict.fromkeys(CLIENTS, 48)
    server.absorb_embeddings([v.embed(server.embed_request()) for v in vaults], refused={}, records=records)
    server.finish_embeddings()
    for vault in vaults:
        vault.embed = fail
    grid = grid_of(vaults)
    strategy_of(server, grid, watch, rounds=0).start(grid)
    assert [(report.round, report.clients) for report in watch.reports] == [(0, list(CLIENTS))]
    assert server.unfitted is None
    assert server.target is not None


def test_part_of_the_clients_is_asked(make_server: MakeServer, vaults: list[Any], watcher: Any) -> None:
    watch, grid = watcher(), grid_of(vaults)
    strategy_of(make_server(), grid, watch, rounds=6, fraction=0.34).start(grid)
    turns = [client for report in watch.reports for client in report.clients]
    assert [len(report.clients) for report in watch.reports] == [1] * 6
    assert sorted(turns) == sorted(CLIENTS * 2)


# Who takes part


def test_discovery_leaves_out_who_fails(vaults: list[Any]) -> None:
    vaults[1].describe = fail
    assert list(discover(grid_of(vaults), timeout=None)) == ["00000", "00002"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"client": "00000"}, "two nodes call themselves client 00000"),
        ({"num_classes": 5}, "disagree"),
        ({"image_shape": (3, 8, 8)}, "disagree"),
    ],
)
def test_clients_must_fit_together(vaults: list[Any], change: dict[str, Any], words: str) -> None:
    description = replace(vaults[1].describe(), **change)
    vaults[1].describe = lambda: description
    with pytest.raises(FedganError, match=words):
        discover(grid_of(vaults), timeout=None)


def test_nodes_that_come_late_are_waited_for() -> None:
    class Late:
        calls = 0

        def get_node_ids(self) -> list[int]:
            self.calls += 1
            return list(range(self.calls))

    late = Late()
    assert wait_for_nodes(late, 3) == [0, 1, 2]  # type: ignore[arg-type]
    begun = monotonic()
    assert wait_for_nodes(InProcessGrid(client_app(fail), 2), 3, patience=0.2) == [1000, 1001]  # type: ignore[arg-type]
    assert 0.2 <= monotonic() - begun < 5


def test_a_round_that_needs_a_lost_node_waits_for_it(make_server: MakeServer, vaults: list[Any], watcher: Any) -> None:
    class Flickering(InProcessGrid):
        looks = 0

        def get_node_ids(self) -> range:
            self.looks += 1
            return range(1000, 1003 if self.looks > 8 else 1002)

    grid, watch = Flickering(grid_of(vaults)._client_app, 3), watcher()
    strategy = strategy_of(make_server(minimum_clients=3), grid_of(vaults), watch, rounds=1, attempts=2, patience=20.0)
    strategy.start(grid, timeout=0.1)
    assert [report.clients for report in watch.reports] == [list(CLIENTS)]


def test_nobody_at_all_is_an_error(vaults: list[Any]) -> None:
    for vault in vaults:
        vault.describe = lambda: fail(None)  # type: ignore[arg-type]
    with pytest.raises(FedganError, match="no client answered"):
        discover(grid_of(vaults), timeout=None)
