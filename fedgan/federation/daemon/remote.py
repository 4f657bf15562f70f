"""A vault behind a socket, as the relay sees it: no torch, no data, no path of either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import grpc

from fedgan.federation.daemon.wire import Asked, Payload, decode, encode
from fedgan.federation.requests import Description, EmbedRequest, Refusal, Release, TrainRequest

if TYPE_CHECKING:  # the configuration's classes take a quarter of a second, once for each message
    from fedgan.config.flat import Scalar

SERVICE = "fedgan.Vault"
_MESSAGE_BYTES = 2**31 - 1
_ROOM_BYTES = 2**28
"""For embeddings and ledgers, whose sizes a request does not tell."""


class RemoteVault:
    """Passes requests on to the vault that listens on `socket`, and its answers back.

    Args:
        socket: path of the Unix socket.
        config: the run's configuration, flat.
        patience: seconds to wait for a vault that is just being started.
    """

    def __init__(self, socket: str, config: Mapping[str, Scalar], *, patience: float = 120.0) -> None:
        self._asked = Asked(config)
        self._socket = socket
        self._patience = patience

    def describe(self) -> Description:
        """Return what is public about the party; raises Refusal."""
        return self._call("Describe", b"", Description)

    def embed(self, request: EmbedRequest) -> Release:
        """Return the warm start's release; raises Refusal."""
        return self._call("Embed", encode(request, self._asked), Release)

    def train(self, request: TrainRequest) -> Release:
        """Return a round's release; raises Refusal."""
        return self._call("Train", encode(request, self._asked), Release)

    def _call(self, method: str, content: bytes, kind: type[Payload]) -> Payload:
        """Return the answer; one far larger than its request is not read, so a broken vault fills no memory."""
        limits = {"send": _MESSAGE_BYTES, "receive": min(_MESSAGE_BYTES, 2 * len(content) + _ROOM_BYTES)}
        options = [(f"grpc.max_{way}_message_length", limit) for way, limit in limits.items()]
        try:
            with grpc.insecure_channel(f"unix:{self._socket}", options=options) as channel:
                grpc.channel_ready_future(channel).result(timeout=self._patience)
                answer = channel.unary_unary(f"/{SERVICE}/{method}")(content)
        except grpc.FutureTimeoutError:
            raise Refusal(Refusal.UNAVAILABLE) from None
        except grpc.RpcError as error:
            raise Refusal(_code_of(error)) from None
        payload, _ = decode(kind, answer)
        return payload


def _code_of(error: grpc.RpcError) -> str:
    """Return the vault's code; a vault that died over the request is unavailable."""
    details = error.details() if isinstance(error, grpc.Call) else None
    if details in Refusal.CODES:
        return str(details)
    lost = isinstance(error, grpc.Call) and error.code() == grpc.StatusCode.UNAVAILABLE
    return Refusal.UNAVAILABLE if lost else Refusal.FAILED
