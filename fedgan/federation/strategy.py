"""Our Flower strategy: warm start, rounds from any number on, and a word about every client that fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Protocol

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from fedgan.errors import BudgetError, FedganError
from fedgan.federation.cohort import cohort_size, cohorts
from fedgan.federation.exchange import exchange, messages_for, read_answers
from fedgan.federation.records import Question, count_bytes, question_of, to_records
from fedgan.federation.relay import DESCRIBE, EMBED, TRAIN
from fedgan.federation.reports import RoundReport
from fedgan.federation.requests import Description, EmbedRequest, Refusal, Release, TrainRequest, quoted
from fedgan.federation.server import Server

_LOGGER = logging.getLogger(__name__)


class Observer(Protocol):
    """Is told how a run goes, to save, draw or print it."""

    def warm_start_step(self, step: int, steps: int) -> None:
        """Step `step` of `steps` of the generator's fit is done."""

    def after_round(self, server: Server, report: RoundReport, seconds: float) -> None:
        """Round `report.round` (0: the warm start) is done; it took `seconds`."""


class Recorder(Observer, Protocol):
    """An observer that also keeps what cannot be asked for again."""

    def after_embedding(self, server: Server) -> None:
        """The clients' embeddings are in and paid for; `server` is still to be fitted to them."""


@dataclass(frozen=True)
class Node:
    """A client and the Flower node it answers from."""

    node_id: int
    description: Description


def discover(grid: Grid, *, timeout: float | None, names: Mapping[int, str] | None = None) -> dict[str, Node]:
    """Ask every node who it is and return the clients by name.

    Args:
        timeout: seconds to wait for answers; None to wait for ever.
        names: of the clients by node, where that is known; a node that gives another is left out.

    Raises:
        FedganError: nobody answers, or two clients disagree about image shape or classes, or share a name.
    """
    messages = messages_for({node: RecordDict() for node in grid.get_node_ids()}, DESCRIBE, "0")
    answers = exchange(grid, messages, Description, timeout)
    left_out = {(names or {}).get(node, f"node {node}"): reason for node, reason in answers.refused.items()}
    clients: dict[str, Node] = {}
    for node, description in answers.good.items():
        if names is not None and names.get(node) != description.client:
            left_out[names.get(node, f"node {node}")] = f"calls itself {quoted(description.client)}"
            continue
        if description.client in clients:
            raise FedganError(f"two nodes call themselves client {description.client}")
        clients[description.client] = Node(node, description)
    for name, reason in left_out.items():
        _LOGGER.warning("%s is left out: %s", name, reason)
    if not clients:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise FedganError(f"no client answered ({reasons or 'there is no node'}): is the federation running?")
    shapes = {(node.description.image_shape, node.description.num_classes) for node in clients.values()}
    if len(shapes) > 1:
        raise FedganError(f"clients disagree about image shape and number of classes: {sorted(shapes)}")
    return dict(sorted(clients.items()))


class GanStrategy(Strategy):
    """Runs a `Server` over a Flower grid.

    Unlike Flower's own loop it begins at the server's round (so a run resumes), asks for the warm start first, checks
    every reply, names the clients that failed, and stops early when the time is up or nobody has budget left.

    Args:
        server: the global state; after `start` it holds the result.
        clients: who takes part, by name.
        fraction: part of the clients asked in a round, in (0, 1].
        rounds: rounds of the whole run.
        seed: orders the clients.
        time_limit: seconds after which no round starts; 0 for none.
        observer: is told between and after the parts of the warm start, and after each round.
        fault_of: a last look at each release; what it returns is why it is left out.
    """

    def __init__(
        self,
        server: Server,
        clients: Mapping[str, Node],
        *,
        fraction: float,
        rounds: int,
        seed: int,
        time_limit: float,
        observer: Recorder,
        fault_of: Callable[[Release], str | None] = lambda release: None,
    ) -> None:
        self._server = server
        self._clients = dict(clients)
        self._names = {node.node_id: name for name, node in clients.items()}
        self._cohorts = cohorts(sorted(clients), fraction, rounds, seed)
        self._cohort_size = cohort_size(len(clients), fraction)
        self._rounds = rounds
        self._time_limit = time_limit
        self._observer = observer
        self._fault_of = fault_of
        self._question: Question | None = None
        self._bytes_down = 0
        self._spent: set[str] = set()
        self.stopped = ""

    def summary(self) -> None:
        """Log who takes part in what."""
        _LOGGER.info("%d clients, %d a round, %d rounds", len(self._clients), self._cohort_size, self._rounds)

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord | None = None,
        num_rounds: int = 0,
        timeout: float | None = None,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    ) -> Result:
        """Run the warm start, if it is still to come, and the remaining rounds.

        The networks, the rounds and the settings come from the server and the constructor; the arguments beside `grid`
        and `timeout` (seconds for one exchange) stand for Flower's interface and are not read.
        """
        self.summary()
        begun = monotonic()
        if self._server.round == 0 and self._server.warm_start is not None:
            self._warm_start(self._server.warm_start.steps, grid, timeout)
        while self._server.round < self._rounds and not self.stopped:
            if self._time_limit and monotonic() - begun > self._time_limit:
                self.stopped = f"time limit of {self._time_limit:g} s"
                break
            self._round(grid, timeout)
        if self.stopped:
            _LOGGER.warning("stopped after round %d of %d: %s", self._server.round, self._rounds, self.stopped)
        return Result()

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return the messages of the server's next round to the clients whose turn it is and who have budget left."""
        cohort = [name for name in self._cohorts[server_round - 1] if name not in self._spent]
        content = self._ask(self._server.train_request(), self._server.step.expected(self._server.gan))
        return messages_for({self._clients[name].node_id: content for name in cohort}, TRAIN, str(server_round))

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Move the server by `replies`; the networks stay with the server, so no record is returned."""
        replies = list(replies)
        self._absorb(replies, asked=[reply.metadata.src_node_id for reply in replies])
        return None, None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return no messages: an evaluation on private records would have to be charged."""
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Return None, as nothing was asked."""
        return None

    def _warm_start(self, steps: int, grid: Grid, timeout: float | None) -> None:
        """Do what is still to be done of the warm start."""
        begun = monotonic()
        if self._server.target is None:
            self._embed(grid, timeout)
        report = self._server.unfitted
        if report is None:
            return
        self._server.fit(lambda step: self._observer.warm_start_step(step, steps))
        self._observer.after_round(self._server, report, monotonic() - begun)

    def _embed(self, grid: Grid, timeout: float | None) -> None:
        content = self._ask(self._server.embed_request(), {"embedding": self._server.embedding_shape})
        records = {name: node.description.records for name, node in self._clients.items()}
        report = RoundReport(0, [])
        sizes: list[int] = []
        names = sorted(self._clients)
        for first in range(0, len(names), self._cohort_size):
            nodes = {self._clients[name].node_id: content for name in names[first : first + self._cohort_size]}
            answers = exchange(grid, messages_for(nodes, EMBED, "0"), Release, timeout, self._question)
            sizes += answers.bytes
            refused = {self._name(node): reason for node, reason in answers.refused.items()}
            releases = self._named(answers.good, refused)
            report = self._server.absorb_embeddings(releases, refused=refused, records=records)
        _log_refusals(report)
        if not report.clients:
            if set(report.refused.values()) == {Refusal.BUDGET_SPENT}:
                raise BudgetError("no client has budget left for the warm start: nothing was trained")
            raise FedganError("no client took part in the warm start: nothing was trained")
        self._server.finish_embeddings()
        self._server.unfitted = replace(report, bytes_down=self._bytes_down, bytes_up=_mean(sizes))
        self._observer.after_embedding(self._server)

    def _round(self, grid: Grid, timeout: float | None) -> None:
        begun = monotonic()
        messages = list(self.configure_train(self._server.round + 1, ArrayRecord(), ConfigRecord(), grid))
        asked = [message.metadata.dst_node_id for message in messages]
        report = self._absorb(grid.send_and_receive(messages, timeout=timeout), asked)
        _log_refusals(report)
        self._spent |= {client for client, reason in report.refused.items() if reason == Refusal.BUDGET_SPENT}
        self._observer.after_round(self._server, report, monotonic() - begun)
        if len(self._spent) == len(self._clients):
            self.stopped = "no client has budget left"

    def _absorb(self, replies: Iterable[Message], asked: list[int]) -> RoundReport:
        answers = read_answers(replies, asked, Release, self._question)
        refused = {self._name(node): reason for node, reason in answers.refused.items()}
        releases = self._named(answers.good, refused)
        records = sum(self._clients[self._names[node]].description.records for node in asked if node in self._names)
        report = self._server.absorb_round(releases, refused, records=records)
        sizes = [] if self._server.step.secret_cohort else answers.bytes  # none, or one, would tell who takes part
        return replace(report, bytes_down=self._bytes_down, bytes_up=_mean(sizes))

    def _ask(self, request: EmbedRequest | TrainRequest, expected: Mapping[str, tuple[int, ...]]) -> RecordDict:
        """Return `request` as it travels, and remember how its answers are to be read."""
        self._question = question_of(request, expected)
        content = to_records(request)
        self._bytes_down = count_bytes(content)
        return content

    def _named(self, releases: Mapping[int, Release], refused: dict[str, str]) -> list[Release]:
        """Return the releases that speak for the node they came from; note the others in `refused`."""
        good = []
        for node, release in releases.items():
            if release.client != self._names.get(node):
                refused[self._name(node)] = "speaks for another client"
            elif fault := self._fault_of(release):
                refused[self._name(node)] = fault
            else:
                good.append(release)
        return good

    def _name(self, node: int) -> str:
        return self._names.get(node, f"of node {node}, which was not asked")


def _mean(sizes: Sequence[int]) -> int | None:
    return round(sum(sizes) / len(sizes)) if sizes else None


def _log_refusals(report: RoundReport) -> None:
    for client, reason in report.refused.items():
        _LOGGER.warning("round %d goes on without client %s: %s", report.round, client, reason)
