"""Our Flower strategy: warm start, rounds from any number on, and a word about every client that fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from time import monotonic

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from fedgan.errors import BudgetError, FedganError
from fedgan.federation.clients import Node
from fedgan.federation.cohort import absentees, cohort_size, cohorts
from fedgan.federation.exchange import Answers, exchange, messages_for, read_answers, wait_until_back
from fedgan.federation.observers import Recorder
from fedgan.federation.records import Question, count_bytes, question_of, to_records
from fedgan.federation.relay import EMBED, TRAIN
from fedgan.federation.reports import RoundReport, log_report, too_few
from fedgan.federation.requests import EmbedRequest, Refusal, Release, TrainRequest
from fedgan.federation.server import Server

_LOGGER = logging.getLogger(__name__)


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
        absence: chance with which a client of a round is not there to be asked, in a simulation; in [0, 1).
        time_limit: seconds after which no round starts; 0 for none.
        observer: is told between and after the parts of the warm start, and after each round.
        attempts: how often a round is asked for, if too few clients answer, before the run stops.
        patience: seconds to wait, before a round is asked for again, for clients whose nodes are away.
        timed: whether clients work side by side, so that the time each takes to answer says something.
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
        absence: float = 0.0,
        attempts: int = 3,
        patience: float = 0.0,
        timed: bool = False,
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
        self._absent = [absentees(sorted(clients), absence, number, seed) for number in range(1, rounds + 1)]
        self._attempts = attempts
        self._patience = patience
        self._timed = timed
        self._fault_of = fault_of
        self._question: Question | None = None
        self._bytes_down = 0
        self._embedded = (0, 0)  # bytes down and up of the warm start's releases so far
        self._spent: set[str] = set()
        self._in_vain = 0
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
            elif (watch := self._server.early_stopping) is not None and watch.over:
                self.stopped = watch.words
            elif self._can_go_on():
                self._round(grid, timeout)
        if (watch := self._server.early_stopping) is not None:
            watch.settle(self._server.average)
        if self.stopped:
            _LOGGER.warning("stopped after round %d of %d: %s", self._server.round, self._rounds, self.stopped)
        return Result()

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return the messages of the server's next round to the clients whose turn it is and who have budget left."""
        missing = self._spent | self._absent[server_round - 1]
        cohort = [name for name in self._cohorts[server_round - 1] if name not in missing]
        content = self._ask(self._server.train_request(), self._server.step.expected(self._server.gan))
        return messages_for({self._clients[name].node_id: content for name in cohort}, TRAIN, str(server_round))

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Move the server by `replies`; the networks stay with the server, so no record is returned."""
        replies = list(replies)
        asked = [reply.metadata.src_node_id for reply in replies]
        self._absorb(read_answers(replies, asked, Release, self._question))
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
        while self._server.embeddings_pending:
            if self._server.learn(lambda step: self._observer.warm_start_step(step, steps)):
                self._observer.after_embedding(self._server)
            self._embed(grid, timeout)
        report = self._server.unfitted
        if report is None:
            return
        self._server.fit(lambda step: self._observer.warm_start_step(step, steps))
        self._observer.after_round(self._server, report, monotonic() - begun)

    def _embed(self, grid: Grid, timeout: float | None) -> None:
        content = self._ask(self._server.embed_request(), {"embedding": self._server.embedding_shape()})
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
        log_report(report)
        if not report.clients:
            if set(report.refused.values()) == {Refusal.BUDGET_SPENT}:
                raise BudgetError("no client has budget left for the warm start: nothing was trained")
            raise FedganError("no client took part in the warm start: nothing was trained")
        if len(report.clients) < self._server.minimum_clients and not self._server.step.secret_cohort:
            needed = self._server.minimum_clients
            raise FedganError(f"warm start: {len(report.clients)} good answers, at least {needed} are needed")
        self._server.finish_embeddings()
        self._embedded = (self._embedded[0] + self._bytes_down, self._embedded[1] + (_mean(sizes) or 0))
        if report_of_all := self._server.unfitted:  # the last release is in; its bytes are those of all
            down, up = self._embedded
            self._server.beginning.unfitted = replace(report_of_all, bytes_down=down, bytes_up=up)
        self._observer.after_embedding(self._server)

    def _round(self, grid: Grid, timeout: float | None) -> None:
        begun = monotonic()
        messages = list(self.configure_train(self._server.round + 1, ArrayRecord(), ConfigRecord(), grid))
        if len(messages) < self._server.minimum_clients and not self._server.step.secret_cohort:
            self._pass_over()
            return
        report = self._absorb(exchange(grid, messages, Release, timeout, self._question))
        log_report(report)
        self._spent |= {client for client, reason in report.refused.items() if reason == Refusal.BUDGET_SPENT}
        absent = self._absent[report.round - 1] & set(self._cohorts[report.round - 1])
        report.refused.update(dict.fromkeys(sorted(absent), "absent"))
        if report.enough:
            self._in_vain = 0
            self._observer.after_round(self._server, report, monotonic() - begun)
        else:
            self._count_in_vain(report)
            wait_until_back(grid, {message.metadata.dst_node_id for message in messages}, self._patience)

    def _pass_over(self) -> None:
        """Leave a round out for which too few of its cohort can be asked: the others would pay for nothing."""
        self._server.round += 1
        cohort, absent = self._cohorts[self._server.round - 1], self._absent[self._server.round - 1]
        missing = {name: Refusal.BUDGET_SPENT if name in self._spent else "absent" for name in sorted(cohort)}
        refused = {name: why for name, why in missing.items() if name in self._spent | absent}
        report = RoundReport(self._server.round, [], refused)
        log_report(report)
        self._observer.after_round(self._server, report, 0.0)

    def _count_in_vain(self, report: RoundReport) -> None:
        """Count a round that too few clients answered; raise FedganError when it is one too many.

        Nothing has moved, so the next request is the same: who has answered it answers it from memory where it adds
        the noise itself, and pays nothing more.
        """
        self._in_vain += 1
        words = too_few(report, self._server.minimum_clients, asked=self._in_vain)
        if self._in_vain >= self._attempts and self._can_go_on():
            raise FedganError(f"{words}; --resume asks again")
        _LOGGER.warning("%s", words)

    def _can_go_on(self) -> bool:
        """Return whether enough clients have budget left; say so in `stopped` if not."""
        left = len(self._clients) - len(self._spent)
        if left == 0:
            self.stopped = "no client has budget left"
        elif not self._server.step.secret_cohort and left < self._server.minimum_clients:
            needed = self._server.minimum_clients
            self.stopped = f"{left} of {len(self._clients)} clients have budget left, at least {needed} are needed"
        return not self.stopped

    def _absorb(self, answers: Answers[Release]) -> RoundReport:
        refused = {self._name(node): reason for node, reason in answers.refused.items()}
        releases = self._named(answers.good, refused)
        asked = {self._names[node] for node in (*answers.good, *answers.refused) if node in self._names}
        report = self._server.absorb_round(releases, refused, records=self._records(asked))
        sizes = [] if self._server.step.secret_cohort else answers.bytes  # none, or one, would tell who takes part
        report = replace(report, bytes_down=self._bytes_down, bytes_up=_mean(sizes))
        if not self._timed or self._server.step.secret_cohort:
            return report
        return replace(report, seconds={self._name(node): taken for node, taken in answers.seconds.items()})

    def _ask(self, request: EmbedRequest | TrainRequest, expected: Mapping[str, tuple[int, ...]]) -> RecordDict:
        """Return `request` as it travels, and remember how its answers are to be read."""
        self._question = question_of(request, expected)
        content = to_records(request)
        self._bytes_down = count_bytes(content)
        return content

    def _records(self, clients: Iterable[str]) -> int:
        """Return how many records `clients` count with together."""
        counted = self._server.inspector.weights.counted()
        return sum(counted.get(name, self._clients[name].description.records) for name in clients)

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
