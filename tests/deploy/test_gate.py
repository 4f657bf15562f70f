"""The door lets through what a node asks, in one form, and nothing that could start a run or hide behind a request."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from fedgan.errors import FedganError
from fedgan.federation.deploy.allowance import Allowance
from fedgan.federation.deploy.gate import ALLOWED, LARGEST_BODY, Gate, Refused, checked_head
from fedgan.federation.deploy.provision import provision
from fedgan.federation.deploy.reach import reach, split_address
from fedgan.federation.deploy.server_folder import ServerFolder, ServerSettings

PULL = b"POST /v1/fleet/pull-messages HTTP/1.1"
LENGTH = b"Content-Length: 3"


def head(*lines: bytes) -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n"


def test_a_nodes_request_is_written_anew() -> None:
    given = head(PULL, b"Host: x", b"Connection: keep-alive", LENGTH, b"x-node:  key=  ")
    passed = head(PULL, b"Host: x", b"x-node: key=", LENGTH, b"Connection: close")
    assert checked_head(given) == (passed, 3)


def test_every_path_of_a_node_is_known_to_flower() -> None:
    from flwr.superlink.routers.fleet.router import router

    assert {route.path for route in router.routes} == ALLOWED  # type: ignore[attr-defined]


def test_a_node_may_send_so_much_with_a_message_and_no_more() -> None:
    def asked(path: bytes, node: bytes) -> bytes:
        line = b"POST /v1/fleet/" + path + b" HTTP/1.1"
        return checked_head(head(line, LENGTH, b"Flwr-Public-Key: " + node))[0]

    allowance = Allowance(10)
    sent = [(b"push-object", b"A", 6), (b"push-object", b"B", 10), (b"pull-object", b"A", 9), (b"push-object", b"A", 4)]
    assert all(allowance.allows("::1", asked(path, node), length) for path, node, length in sent)
    assert not allowance.allows("::1", asked(b"push-object", b"A"), 1)
    assert allowance.allows("::1", asked(b"pull-messages", b"A"), 99)
    assert not allowance.allows("::1", asked(b"push-object", b"A"), 1)
    assert allowance.allows("::2", asked(b"push-object", b"A"), 1)
    assert allowance.allows("::1", asked(b"push-messages", b"A"), 99)
    assert allowance.allows("::1", asked(b"push-object", b"A"), 10)


@pytest.mark.parametrize(
    "line",
    [
        b"POST /v1/control/start-run HTTP/1.1",
        b"POST /v1/runtime/acquire-task HTTP/1.1",
        b"POST /v1/fleet/../control/start-run HTTP/1.1",
        b"POST /v1/fleet/%2e%2e/control/start-run HTTP/1.1",
        b"POST /v1/fleet/pull-messages?x=1 HTTP/1.1",
        b"POST //v1/fleet/pull-messages HTTP/1.1",
        b"POST https://x/v1/control/start-run HTTP/1.1",
        b"GET /v1/fleet/pull-messages HTTP/1.1",
        b"GET /docs HTTP/1.1",
        b"CONNECT x:1 HTTP/1.1",
    ],
)
def test_everything_else_is_forbidden(line: bytes) -> None:
    with pytest.raises(Refused) as caught:
        checked_head(head(line, LENGTH))
    assert caught.value.status == b"403 Forbidden"


@pytest.mark.parametrize(
    "lines",
    [
        (PULL,),
        (PULL, LENGTH, LENGTH),
        (PULL, LENGTH, b"content-length: 4"),
        (PULL, b"Transfer-Encoding: chunked"),
        (PULL, LENGTH, b"transfer-encoding: chunked"),
        (PULL, b"Content-Length: +3"),
        (PULL, b"Content-Length: 3, 4"),
        (PULL, b"Content-Length : 3"),
        (PULL, LENGTH, b" folded"),
        (PULL, LENGTH, b"X: a\nContent-Length: 9"),
        (PULL, LENGTH, b"X: a\rb"),
        (PULL, LENGTH, b"no colon"),
        (PULL, b"Content-Length: %d" % (LARGEST_BODY + 1)),
        (b"POST /v1/fleet/pull-messages HTTP/1.0", LENGTH),
        (b"POST /v1/fleet/pull-messages  HTTP/1.1", LENGTH),
        (b"", LENGTH),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(lines: tuple[bytes, ...]) -> None:
    with pytest.raises(Refused):
        checked_head(head(*lines))


class Upstream(BaseHTTPRequestHandler):
    """Answers like a SuperLink would, with what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = f"{self.path} {self.headers['X-Node']} ".encode() + body
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture
def door(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """Return the port of a door with an HTTPS server behind it, and the federation's folder."""
    provision(tmp_path, clients=1)
    folder = ServerFolder(tmp_path / "server")
    behind = HTTPServer(("127.0.0.1", 0), Upstream)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder.certificate, folder.key)
    behind.socket = context.wrap_socket(behind.socket, server_side=True)
    Thread(target=behind.serve_forever, daemon=True).start()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    gate = Gate(folder, ServerSettings(port=port, control_port=behind.server_address[1]))
    gate.open()
    yield port, tmp_path
    gate.close()
    behind.shutdown()
    behind.server_close()


def ask(port: int, authority: Path, method: str, path: str, body: bytes) -> tuple[int, bytes]:
    context = ssl.create_default_context(cafile=str(authority))
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
    connection.request(method, path, body=body, headers={"X-Node": "n"})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def test_the_door_passes_bodies_and_answers_whole(door: tuple[int, Path]) -> None:
    port, folder = door
    body = bytes(range(256)) * 40_000  # 10 MB: more than any buffer on the way
    status, content = ask(port, folder / "server" / "ca.crt", "POST", "/v1/fleet/push-object", body)
    assert (status, content) == (200, b"/v1/fleet/push-object n " + body)


def test_the_door_is_shut_for_the_control_interface(door: tuple[int, Path]) -> None:
    port, folder = door
    assert ask(port, folder / "server" / "ca.crt", "POST", "/v1/control/start-run", b"x")[0] == 403


def test_a_second_request_behind_the_first_gets_no_answer(door: tuple[int, Path]) -> None:
    port, folder = door
    context = ssl.create_default_context(cafile=str(folder / "server" / "ca.crt"))
    second = head(b"POST /v1/control/start-run HTTP/1.1", b"Host: x", LENGTH) + b"xyz"
    content = b""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        suppress(OSError),  # what was not read is thrown away
    ):
        connection.sendall(head(PULL, b"Host: x", LENGTH) + b"abc" + second)
        while chunk := connection.recv(2**16):
            content += chunk
    assert content.count(b"HTTP/1.1") == 1
    assert b"pull-messages" in content
    assert b"start-run" not in content


def test_plain_text_gets_no_answer(door: tuple[int, Path]) -> None:
    port, _ = door
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
        plain.sendall(head(PULL, LENGTH) + b"abc")
        answer = b""
        with suppress(ConnectionError):
            answer = plain.recv(2**16)
    assert b"HTTP" not in answer


def test_another_federations_server_is_found_out_in_one_line(door: tuple[int, Path], tmp_path: Path) -> None:
    port, folder = door
    assert reach(f"127.0.0.1:{port}", folder / "server" / "ca.crt") is None
    provision(tmp_path / "other", clients=1)
    with pytest.raises(FedganError, match=r"is not the server of this federation: .*certificate"):
        reach(f"127.0.0.1:{port}", tmp_path / "other" / "server" / "ca.crt")


def test_nobody_there_is_worth_waiting_for(door: tuple[int, Path]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        reason = reach(f"127.0.0.1:{port}", door[1] / "server" / "ca.crt")
    assert reason is not None
    assert "does not answer: Connection refused" in reason


@pytest.mark.parametrize("address", ["host", "host:", ":1", "host:0", "host:70000", "host:x"])
def test_an_address_is_host_and_port(address: str) -> None:
    with pytest.raises(FedganError, match="give host:port"):
        split_address(address)


def test_an_address_of_version_six_has_brackets() -> None:
    assert split_address("[::1]:9443") == ("::1", 9443)
