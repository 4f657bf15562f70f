"""The gRPC service around a site's vaults: three methods of bytes, one request at a time, codes for refusals."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import grpc

from fedgan.errors import ClockError, FedganError, UsageError
from fedgan.federation.daemon.policy import AgainstPolicy
from fedgan.federation.daemon.refusals import Refusals
from fedgan.federation.daemon.vaults import SiteVaults
from fedgan.federation.daemon.wire import decode, encode
from fedgan.federation.heap import give_back_freed_memory
from fedgan.federation.requests import EmbedRequest, Refusal, TrainRequest

_LOGGER = logging.getLogger(__name__)

SERVICE = "fedgan.Vault"
MESSAGE_BYTES = 2**31 - 1
_THREADS = 4
_LONGEST_PATH = 107  # bytes of a Unix socket's address

Answer = Callable[[bytes], bytes]


class VaultService(grpc.GenericRpcHandler):
    """Answers what the relay may ask; everything else is refused and recorded.

    Args:
        vaults: the site's records behind their vaults.
        refusals: where the site reads what was refused.
    """

    def __init__(self, vaults: SiteVaults, refusals: Refusals) -> None:
        self._vaults = vaults
        self._refusals = refusals
        self._one_at_a_time = Lock()
        self._methods: dict[str, Answer] = {
            "Describe": self._describe,
            "Embed": self._embed,
            "Train": self._train,
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """Return the handler of a call, or None for one that this service does not have."""
        service, _, name = handler_call_details.method.strip("/").partition("/")
        answer = self._methods.get(name) if service == SERVICE else None
        if answer is None:
            self._refusals.record(Refusal.BAD_REQUEST, "this vault has no such method", repr(name)[:80])
            return None
        return grpc.unary_unary_rpc_method_handler(
            lambda content, context: self._guarded(name, answer, content, context)
        )

    def _describe(self, content: bytes) -> bytes:
        return encode(self._vaults.describe())

    def _embed(self, content: bytes) -> bytes:
        return encode(self._vaults.embed(*decode(EmbedRequest, content)))

    def _train(self, content: bytes) -> bytes:
        return encode(self._vaults.train(*decode(TrainRequest, content)))

    def _guarded(self, name: str, answer: Answer, content: bytes, context: grpc.ServicerContext) -> bytes:
        """Return the answer; whatever goes wrong, the caller learns a code and the site the reason."""
        try:
            self._vaults.check_size(len(content))
            with self._one_at_a_time:
                try:
                    return answer(content)
                finally:
                    give_back_freed_memory()  # a vault waits far longer than it works
        except Refusal as refusal:
            code, reason = refusal.code, "the vault declined"
        except AgainstPolicy as refusal:
            code, reason = Refusal.AGAINST_POLICY, str(refusal)
        except (UsageError, ValueError) as error:
            code, reason = Refusal.BAD_REQUEST, str(error)
        except ClockError as error:
            code, reason = Refusal.CLOCK_BEHIND, str(error)
        except FedganError as error:
            code, reason = Refusal.FAILED, str(error)
        except Exception as error:
            _LOGGER.exception("%s failed", name)
            code, reason = Refusal.FAILED, f"{type(error).__name__}, see the log"
        if code != Refusal.SITS_OUT:
            _LOGGER.warning("%s refused (%s): %s", name, code, reason)
            self._refusals.record(code, reason, name)
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, code)
        raise AssertionError("abort raises")


def listen(service: VaultService, socket: Path) -> grpc.Server:
    """Return the running server of `service` on `socket`, which its owner alone may open.

    Raises:
        UsageError: the path is too long, or its folder is not the owner's alone.
    """
    if len(os.fsencode(socket)) > _LONGEST_PATH:
        raise UsageError(f"{socket}: a socket's path has at most {_LONGEST_PATH} bytes: move the folder further up")
    mode = stat.S_IMODE(socket.parent.stat().st_mode)
    if mode & 0o077:
        raise UsageError(f"{socket.parent} is open to others (mode {mode:04o}): give it mode 0700")
    server = grpc.server(
        ThreadPoolExecutor(_THREADS),
        handlers=[service],
        options=[("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)],
    )
    before = os.umask(0o177)
    try:
        if server.add_insecure_port(f"unix:{socket}") == 0:
            raise UsageError(f"{socket}: cannot be opened")
        socket.chmod(0o600)
        server.start()
    finally:
        os.umask(before)
    return server
