"""A Flower grid inside one process: no Ray, no SuperLink, the same messages and apps.

`flwr.serverapp.Grid` is a public abstract class and a ClientApp is a callable, so this is all it takes. Two private
touches, which Flower's own in-memory grid makes too, are guarded by a test: the task identity that `Message` reads, and
the message identifiers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from uuid import uuid4

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

_LOGGER = logging.getLogger(__name__)
_CLIENT_FAILED = 2  # flwr's ErrorCode.CLIENT_APP_RAISED_EXCEPTION
_FIRST_NODE = 1000


class InProcessGrid(Grid):
    """Runs each message's ClientApp at once, in the calling thread.

    Args:
        client_app: what every node runs.
        num_nodes: number of nodes; node i sees node_config {"partition-id": i, "num-partitions": num_nodes}.
    """

    def __init__(self, client_app: ClientApp, num_nodes: int) -> None:
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
        self._client_app = client_app
        self._num_nodes = num_nodes
        self._states: dict[int, RecordDict] = {}
        self._replies: dict[str, Message] = {}
        self._run: Run | None = None

    def set_run(self, run: Run) -> None:
        """Set the run's public information."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run's public information; raises RuntimeError if it was never set."""
        if self._run is None:
            raise RuntimeError("no run was set")
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Return a message (Flower prefers its constructor by now)."""
        return Message(content, dst_node_id, message_type, group_id=group_id, ttl=ttl)

    def get_node_ids(self) -> range:
        """Return the nodes' identifiers, ascending."""
        return range(_FIRST_NODE, _FIRST_NODE + self._num_nodes)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Answer the messages and keep the replies for `pull_messages`; a node that is not there gives none."""
        identifiers = []
        for message in messages:
            message.metadata.__dict__["_message_id"] = uuid4().hex
            identifiers.append(message.metadata.message_id)
            if message.metadata.dst_node_id in self.get_node_ids():
                self._replies[message.metadata.message_id] = self._answer(message)
        return identifiers

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies to the messages named, once."""
        return [self._replies.pop(identifier) for identifier in message_ids if identifier in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Answer the messages one after another; a timeout cannot pass, because nothing is waited for."""
        return self.pull_messages(self.push_messages(messages))

    def _answer(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        context = Context(
            run_id=1,
            node_id=node,
            node_config={"partition-id": node - _FIRST_NODE, "num-partitions": self._num_nodes},
            state=self._states.pop(node, RecordDict()),
            run_config={},
        )
        try:
            message.content = _own_records(message.content)
            reply = self._client_app(message, context)
        except Exception:
            _LOGGER.exception("client app of node %d failed", node)
            reply = Message(Error(_CLIENT_FAILED, "the client app raised an exception"), reply_to=message)
        if context.state:
            self._states[node] = context.state
        reply.metadata.__dict__["_message_id"] = uuid4().hex
        return reply


def _own_records(content: RecordDict) -> RecordDict:
    """Return fresh records around shared arrays, whose bytes are immutable: an app may change its records in place."""
    return RecordDict({name: type(record)(dict(record)) for name, record in content.items()})  # type: ignore[arg-type]
