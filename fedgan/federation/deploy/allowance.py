"""How much a node may send with one message: what is over it is refused before it reaches the SuperLink."""

from __future__ import annotations

import re
from collections.abc import Hashable

_KEY = re.compile(rb"\r\nflwr-public-key: ([^\r]*)\r\n", re.IGNORECASE)
_MESSAGE = b"POST /v1/fleet/push-messages "
_PIECE = b"POST /v1/fleet/push-object "


class Allowance:
    """Counts the bytes that each node pushes between one message and the next.

    Flower announces a message first and pushes the pieces of its arrays after it.

    Args:
        most: bytes of one message's pieces.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._pushed: dict[Hashable, int] = {}

    def allows(self, peer: str, head: bytes, length: int) -> bool:
        """Count a request of `length` bytes from the address `peer`; return whether it is within the allowance.

        What is no piece always is: who has sent too much once goes on with the next message.
        """
        found = _KEY.search(head)
        node = (peer, found[1] if found else b"")
        if head.startswith(_MESSAGE):
            self._pushed.pop(node, None)
        elif head.startswith(_PIECE):
            self._pushed[node] = self._pushed.get(node, 0) + length
            return self._pushed[node] <= self._most
        return True
