"""The in-process grid keeps Flower's contract, and the private touches it needs are still what they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from fedgan.federation.grid import InProcessGrid


def content(value: int = 1) -> RecordDict:
    return RecordDict({"c": ConfigRecord({"value": value}), "a": ArrayRecord({"x": Array(np.zeros(3, np.float32))})})


def messages(grid: InProcessGrid, records: RecordDict | None = None) -> list[Message]:
    shared = records or content()
    return [Message(shared, node, "train", group_id="1") for node in grid.get_node_ids()]


def grid_of(train: Any, nodes: int = 3) -> InProcessGrid:
    app = ClientApp()
    app.train()(train)
    return InProcessGrid(app, nodes)


def echo(message: Message, context: Context) -> Message:
    return Message(message.content, reply_to=message)


def test_is_a_grid_of_flower() -> None:
    grid = grid_of(echo)
    assert isinstance(grid, Grid)
    assert len(set(grid.get_node_ids())) == 3


def test_messages_need_the_task_identity_that_the_grid_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, None)
    with pytest.raises(Exception, match="TaskIdentity"):
        Message(content(), 1000, "train")
    grid = grid_of(echo)
    assert [reply.has_error() for reply in grid.send_and_receive(messages(grid))] == [False] * 3


def test_replies_answer_their_messages() -> None:
    grid = grid_of(echo)
    sent = messages(grid)
    replies = list(grid.send_and_receive(sent))
    assert [reply.metadata.src_node_id for reply in replies] == list(grid.get_node_ids())
    assert [reply.metadata.reply_to_message_id for reply in replies] == [m.metadata.message_id for m in sent]
    identifiers = [m.metadata.message_id for m in [*sent, *replies]]
    assert "" not in identifiers
    assert len(set(identifiers)) == 6


def test_push_and_pull_give_each_reply_once() -> None:
    grid = grid_of(echo)
    identifiers = list(grid.push_messages(messages(grid)))
    assert len(list(grid.pull_messages(identifiers[:1]))) == 1
    assert len(list(grid.pull_messages(identifiers))) == 2
    assert list(grid.pull_messages(identifiers)) == []
    assert list(grid.pull_messages(["unknown"])) == []


def test_no_messages_no_replies() -> None:
    assert list(grid_of(echo).send_and_receive([])) == []


def test_each_node_knows_its_partition() -> None:
    seen = []

    def train(message: Message, context: Context) -> Message:
        seen.append((context.node_id, dict(context.node_config)))
        return echo(message, context)

    grid = grid_of(train)
    list(grid.send_and_receive(messages(grid)))
    nodes = list(grid.get_node_ids())
    assert seen == [(node, {"partition-id": i, "num-partitions": 3}) for i, node in enumerate(nodes)]


def test_an_app_that_changes_its_records_changes_no_others() -> None:
    def train(message: Message, context: Context) -> Message:
        value = message.content["c"]["value"]
        message.content["c"]["value"] = value + 1
        del message.content["a"]
        return Message(RecordDict({"c": ConfigRecord({"value": value})}), reply_to=message)

    grid, shared = grid_of(train), content()
    replies = list(grid.send_and_receive(messages(grid, shared)))
    assert [reply.content["c"]["value"] for reply in replies] == [1, 1, 1]
    assert shared["c"]["value"] == 1
    assert set(shared) == {"c", "a"}


def test_an_app_cannot_write_into_shared_arrays() -> None:
    def train(message: Message, context: Context) -> Message:
        message.content["a"]["x"].numpy()[:] = 7
        return echo(message, context)

    grid, shared = grid_of(train), content()
    list(grid.send_and_receive(messages(grid, shared)))
    np.testing.assert_array_equal(shared["a"]["x"].numpy(), np.zeros(3))


@pytest.mark.privacy
def test_a_failing_app_is_an_error_without_its_text() -> None:
    def train(message: Message, context: Context) -> Message:
        if context.node_config["partition-id"] == 1:
            raise ValueError("pixel 123456 of patient Jane")
        return echo(message, context)

    grid = grid_of(train)
    replies = list(grid.send_and_receive(messages(grid)))
    assert [reply.has_error() for reply in replies] == [False, True, False]
    assert replies[1].error.code == 2
    assert "Jane" not in replies[1].error.reason
    assert "123456" not in replies[1].error.reason


def test_state_stays_with_its_node() -> None:
    def train(message: Message, context: Context) -> Message:
        count = context.state["n"]["count"] + 1 if "n" in context.state else context.node_config["partition-id"]
        context.state["n"] = ConfigRecord({"count": count})
        return Message(RecordDict({"n": ConfigRecord({"count": count})}), reply_to=message)

    grid = grid_of(train)
    for expected in ([0, 1, 2], [1, 2, 3]):
        replies = list(grid.send_and_receive(messages(grid)))
        assert [reply.content["n"]["count"] for reply in replies] == expected


def test_a_run_that_was_never_set_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="no run was set"):
        _ = grid_of(echo).run
