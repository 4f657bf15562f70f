"""One exchange of messages with several nodes: what was asked, who answered, who did not and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Generic, TypeVar

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from fedgan.federation.records import Question, count_bytes, from_records, refusal_code
from fedgan.federation.requests import Description, Release

Answer = TypeVar("Answer", Description, Release)


@dataclass(frozen=True)
class Answers(Generic[Answer]):
    """Answers that could be read, and for every other node the reason in a few words.

    Attributes:
        bytes: of each good answer on its way.
    """

    good: dict[int, Answer] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    bytes: list[int] = field(default_factory=list)


def wait_for_nodes(grid: Grid, count: int, patience: float = 60.0) -> list[int]:
    """Return the grid's nodes once there are `count` of them, or those there are after `patience` seconds.

    Flower's simulation starts a server before its nodes are registered.
    """
    deadline = monotonic() + patience
    while len(nodes := list(grid.get_node_ids())) < count and monotonic() < deadline:
        sleep(0.1)
    return nodes


def messages_for(nodes: Mapping[int, RecordDict], message_type: str, group: str) -> list[Message]:
    """Return one message for each node."""
    return [Message(content, node, message_type, group_id=group) for node, content in nodes.items()]


def exchange(
    grid: Grid,
    messages: list[Message],
    kind: type[Answer],
    timeout: float | None,
    question: Question | None = None,
) -> Answers[Answer]:
    """Send `messages` and read the replies as `kind`; a node that does not answer within `timeout` s is named."""
    asked = [message.metadata.dst_node_id for message in messages]
    return read_answers(grid.send_and_receive(messages, timeout=timeout), asked, kind, question)


def read_answers(
    replies: object, asked: list[int], kind: type[Answer], question: Question | None = None
) -> Answers[Answer]:
    """Read Flower `replies` of the nodes `asked`; a second reply of one node is left out.

    So is an error in the name of a node that was not asked: for a node that it lost, the SuperLink answers in its own.
    """
    answers: Answers[Answer] = Answers()
    for reply in replies:  # type: ignore[attr-defined]
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
            answers.refused[node] = "no answer in time"
    return answers
