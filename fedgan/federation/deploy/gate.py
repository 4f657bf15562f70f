"""The one door that sites see: it passes on what nodes may ask of the SuperLink, and nothing else.

Flower's SuperLink serves nodes and operators on one port, and asks an operator for no credential: whoever reaches it
could send code to every site. So the SuperLink listens on the loopback address alone, and this listens for the sites.

A request is passed on only in the one form that Flower's nodes use. It is read and written anew, one a connection, so
that no second request can hide behind the first.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from contextlib import suppress
from threading import Event, Thread

from fedgan.errors import FedganError, UsageError
from fedgan.federation.deploy.allowance import Allowance
from fedgan.federation.deploy.server_folder import ServerFolder, ServerSettings

_LOGGER = logging.getLogger(__name__)

ALLOWED = frozenset(
    f"/v1/fleet/{name}"
    for name in (
        "activate-node",
        "confirm-message-received",
        "deactivate-node",
        "get-fab",
        "get-run",
        "pull-messages",
        "pull-object",
        "push-messages",
        "push-object",
        "register-node",
        "send-node-heartbeat",
        "unregister-node",
    )
)
LARGEST_BODY = 64 * 2**20
"""Bytes; Flower cuts arrays into pieces of 5 MiB."""
_LARGEST_HEAD = 16 * 2**10
_HEAD_S = 30.0
_ANSWER_S = 600.0
_CHUNK = 2**16
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e]?|[\x21-\x7e][\x20-\x7e\t]*[\x21-\x7e])[ \t]*")
_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"expect"}


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """A request that is not passed on; `status` is HTTP's."""

    def __init__(self, status: bytes, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def checked_head(head: bytes) -> tuple[bytes, int]:
    """Return the request's head as it is passed on, and the bytes of its body; raises Refused.

    Args:
        head: request line and headers, with the empty line that ends them.
    """
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or words[2] != b"HTTP/1.1":
        raise Refused(b"400 Bad Request", "not a request of HTTP/1.1")
    if words[0] != b"POST" or words[1].decode("latin-1") not in ALLOWED:
        raise Refused(b"403 Forbidden", f"{first[:120]!r} is no request of a node")
    lengths: list[bytes] = []
    passed = [first]
    for line in lines:
        found = _HEADER.fullmatch(line)
        if not found:
            raise Refused(b"400 Bad Request", "a header is malformed")
        name = found[1].lower()
        if name == b"transfer-encoding":
            raise Refused(b"411 Length Required", "the body has no length")
        if name == b"content-length":
            lengths.append(found[2])
        elif name not in _HOP:
            passed.append(found[1] + b": " + found[2])
    if len(lengths) != 1 or not re.fullmatch(rb"[0-9]{1,9}", lengths[0]):
        raise Refused(b"411 Length Required", "the body has no length")
    length = int(lengths[0])
    if length > LARGEST_BODY:
        raise Refused(b"413 Content Too Large", f"a body of {length} bytes")
    passed += [b"Content-Length: %d" % length, b"Connection: close"]
    return b"\r\n".join(passed) + b"\r\n\r\n", length


class Gate:
    """Listens for the sites in a thread of its own, from `open` to `close`.

    Args:
        folder: certificate and key of the server.
        settings: where to listen and where the SuperLink does.
    """

    def __init__(self, folder: ServerFolder, settings: ServerSettings) -> None:
        self._settings = settings
        self._inward = ssl.create_default_context(cafile=str(folder.authority))
        self._outward = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._outward.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            self._outward.load_cert_chain(folder.certificate, folder.key)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"{folder.certificate} and its key cannot be used: {error}") from None
        self._allowance = Allowance(settings.largest_reply * 2**20)
        self._loop = asyncio.new_event_loop()
        self._ready = Event()
        self._failure: OSError | None = None
        self._thread = Thread(target=self._serve, name="gate", daemon=True)

    def open(self) -> None:
        """Begin to listen; raises FedganError if the address cannot be had."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            address = f"{self._settings.listen}:{self._settings.port}"
            raise FedganError(f"cannot listen on {address}: {self._failure.strerror}")

    def close(self) -> None:
        """Stop listening."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            server = self._loop.run_until_complete(
                asyncio.start_server(
                    self._pass_on, self._settings.listen, self._settings.port, ssl=self._outward, limit=_LARGEST_HEAD
                )
            )
        except OSError as error:
            self._failure = error
            self._ready.set()
            return
        self._ready.set()
        self._loop.run_forever()
        server.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_S)
            passed, length = checked_head(head)
            peer = str((writer.get_extra_info("peername") or ("",))[0])
            if not self._allowance.allows(peer, passed, length):
                raise Refused(b"413 Content Too Large", "a reply larger than largest_reply in server.toml")
            body = await asyncio.wait_for(reader.readexactly(length), _ANSWER_S)
            await asyncio.wait_for(self._answer(passed + body, writer), _ANSWER_S)
        except Refused as refused:
            _LOGGER.warning("refused %s: %s", writer.get_extra_info("peername"), refused)
            with suppress(OSError):
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % refused.status)
                await writer.drain()
        except (OSError, EOFError, asyncio.LimitOverrunError, TimeoutError) as error:
            _LOGGER.debug("connection lost: %s", error)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        """Send `request` to the SuperLink and copy its whole answer to `writer`."""
        port = self._settings.control_port
        inward, outward = await asyncio.open_connection("127.0.0.1", port, ssl=self._inward)
        try:
            outward.write(request)
            await outward.drain()
            while chunk := await inward.read(_CHUNK):
                writer.write(chunk)
                await writer.drain()
        finally:
            outward.close()
