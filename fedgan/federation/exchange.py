"""One exchange of messages with several nodes: what was asked, who answered, who did not and why."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from threading import Thread
from time import monotonic, sleep
from typing import Generic, TypeVar

from flwr.app import Error, Message, RecordDict
from flwr.serverapp import Grid

from fedgan.federation.records import Question, count_bytes, from_records, refusal_code
from fedgan.federation.reports import LATE
from fedgan.federation.requests import Description, Release

_LOGGER = logging.getLogger(__name__)

_POLL_S = 0.5
_POLLED_AT_ONCE = 16
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What a reply of a stranger's making does to the code that puts it together; a lost SuperLink is none of these."""
_UNREADABLE_CODE = 0  # flwr's ErrorCode.UNKNOWN

Answer = TypeVar("Answer", Description, Release)


@dataclass(frozen=True)
class Answers(Generic[Answer]):
    """Answers that could be read, and for every other node the reason in a few words.

    Attributes:
        seconds: from the question to each reply, by node, as the server saw it.
        bytes: of each good answer on its way.
    """

    good: dict[int, Answer] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    bytes: list[int] = field(default_factory=list)


def wait_for_nodes(grid: Grid, count: int, patience: float = 60.0) -> list[int]:
    """Return the grid's nodes once there are `count` of them, or those there are after `patience` seconds.

    Flower's simulation starts a server before its nodes are registered.
    """
    deadline = monotonic() + patience
    while len(nodes := list(grid.get_node_ids())) < count and monotonic() < deadline:
        sleep(0.1)
    return nodes


def wait_until_back(grid: Grid, nodes: set[int], patience: float) -> None:
    """Return once all `nodes` are with the grid, or after `patience` seconds."""
    deadline = monotonic() + patience
    while not nodes <= set(grid.get_node_ids()) and monotonic() < deadline:
        sleep(min(_POLL_S, patience))


def messages_for(nodes: Mapping[int, RecordDict], message_type: str, group: str) -> list[Message]:
    """Return one message for each node."""
    return [Message(content, node, message_type, group_id=group) for node, content in nodes.items()]


def exchange(
    grid: Grid, messages: list[Message], kind: type[Answer], timeout: float | None, question: Question | None = None
) -> Answers[Answer]:
    """Send `messages` and read the replies as `kind`.

    Args:
        grid: carries them.
        messages: one for each node.
        kind: of the answers.
        timeout: seconds after which a node that has not answered is named; None to wait for ever.
        question: how releases are to be read, and how large they may be; None for what holds no arrays.
    """
    asked = [message.metadata.dst_node_id for message in messages]
    seconds: dict[int, float] = {}
    replies = list(collect(grid, messages, timeout, seconds))
    answers = read_answers(replies, asked, kind, question)
    late = {node for node, why in answers.refused.items() if why == LATE}  # the SuperLink may have answered for these
    return replace(answers, seconds={node: taken for node, taken in seconds.items() if node not in late})


def collect(grid: Grid, messages: list[Message], timeout: float | None, seconds: dict[int, float]) -> Iterator[Message]:
    """Send `messages` and yield each reply as it comes, for `timeout` s; note in `seconds` how long each took.

    Each reply is fetched by itself, so that one which cannot be put together names its node and harms no other, and
    beside the others: for pieces that a node announced and never sent Flower waits minutes, past any limit of ours.
    """
    nodes = [message.metadata.dst_node_id for message in messages]
    begun = monotonic()
    pending = dict(zip(grid.push_messages(messages), nodes, strict=False))
    pause = _POLL_S * max(1, len(pending) / _POLLED_AT_ONCE)
    pulls: dict[str, Future[Message | None]] = {}
    while pending:
        for identifier in pending.keys() - pulls.keys():
            pulls[identifier] = _begin_pull(grid, identifier, pending[identifier])
        wait(pulls.values(), timeout=pause)
        for identifier, node in list(pending.items()):
            if pulls[identifier].done() and (found := pulls.pop(identifier).result()) is not None:
                del pending[identifier]
                seconds[node] = monotonic() - begun
                yield found
        if not pending or (timeout is not None and monotonic() - begun > timeout):
            return
        sleep(pause)


def _begin_pull(grid: Grid, identifier: str, node: int) -> Future[Message | None]:
    """Return what will hold the reply to a message, or None if there is none yet; nobody has to wait for its thread."""
    future: Future[Message | None] = Future()

    def pull() -> None:
        try:
            future.set_result(_pull(grid, identifier, node))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=pull, daemon=True).start()
    return future


def _pull(grid: Grid, identifier: str, node: int) -> Message | None:
    """Return the reply to a message, if it is there; for one that cannot be put together an error of its node."""
    try:
        return next(iter(grid.pull_messages([identifier])), None)
    except _UNREADABLE as error:
        _LOGGER.warning("the reply of node %d cannot be put together: %s", node, type(error).__name__)
        reply = Message(Error(_UNREADABLE_CODE), reply_to=Message(RecordDict(), node, "query"))
        reply.metadata.__dict__["_src_node_id"] = node
        return reply


def read_answers(
    replies: Iterable[Message], asked: list[int], kind: type[Answer], question: Question | None = None
) -> Answers[Answer]:
    """Read Flower `replies` of the nodes `asked`; a second reply of one node is left out.

    So is an error in the name of a node that was not asked: for a node that it lost, the SuperLink answers in its own.
    """
    answers: Answers[Answer] = Answers()
    for reply in replies:
        node = reply.metadata.src_node_id
        if node in answers.good or node in answers.refused:
            continue
        if reply.has_error() and node not in asked:
            continue
        if reply.has_error():
            answers.refused[node] = f"error code {reply.error.code}"
        elif code := refusal_code(reply.content):
            answers.refused[node] = code
        else:
            try:
                answers.good[node] = from_records(kind, reply.content, question)
                answers.bytes.append(count_bytes(reply.content))
                reply.content.clear()  # a large model's bytes need not stay beside what was read from them
            except ValueError as error:
                answers.refused[node] = f"unreadable reply: {error}"
    for node in asked:
        if node not in answers.good and node not in answers.refused:
            answers.refused[node] = LATE
    return answers
