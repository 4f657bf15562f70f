"""Who may not take part is refused, in one clear line, and the run goes on with those who may."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from typing import Any

import pytest

from fedgan.federation.deploy.certificates import server_certificate
from fedgan.federation.deploy.processes import Child, flower_environment, program
from fedgan.federation.deploy.provision import Provision, provision

pytestmark = [pytest.mark.slow, pytest.mark.deployed, pytest.mark.timeout(300)]


def test_strangers_are_refused_in_one_line_and_the_run_finishes(federation: Callable[..., Any]) -> None:
    fed = federation("partition.clients=2", "federation.rounds=0")
    fed.start_client(0)
    stranger = fed.root / "client-00009"  # another federation's key, towards this one's server
    provision(fed.root / "other", clients=1)
    shutil.copytree(fed.root / "client-00001", stranger)
    shutil.copy(fed.root / "other" / "client-00000" / "node.key", stranger / "node.key")
    misled = fed.root / "client-00008"  # this federation's key, but it expects another server
    shutil.copytree(fed.root / "client-00001", misled)
    shutil.copy(fed.root / "other" / "client-00000" / "ca.crt", misled / "ca.crt")
    fed.start_client(9, "client-00009")
    fed.start_client(8, "client-00008")
    fed.start_server()
    fed.wait_until(lambda: "the server refuses this site's key" in fed.log("client-9"), 120, "the refusal")
    fed.finish("client-8", code=1, timeout=120)
    [line] = [line for line in fed.log("client-8").splitlines() if line.startswith("fedgan: ")]
    assert "is not the server of this federation" in line
    fed.start_client(1)
    fed.finish()
    assert fed.rows() == 1


def test_an_expired_certificate_is_refused_in_one_line(federation: Callable[..., Any]) -> None:
    fed = federation("partition.clients=1")
    server = Provision(fed.root, host=None, port=None).server
    key = (fed.root / "authority" / "ca.key").read_bytes()
    certificate, private = server_certificate(server.authority.read_bytes(), key, "127.0.0.1", days=-1)
    server.certificate.write_bytes(certificate)
    server.key.write_bytes(private)
    fed.start_server()
    fed.finish(code=2)
    assert "server.crt expired on" in fed.log("server")
    assert len(fed.log("server").strip().splitlines()) == 1


def test_plain_text_is_refused_by_either_side(federation: Callable[..., Any]) -> None:
    fed = federation("partition.clients=1", "federation.rounds=0")
    address = f"127.0.0.1:{fed.ports[0]}"
    environment = flower_environment(fed.root / "plain")
    command = [program("flower-superlink"), "--insecure", "--host", "127.0.0.1", "--port", str(fed.ports[0])]
    link = Child("plain SuperLink", command, fed.root / "plain-superlink.log", environment)
    try:
        fed.wait_until(lambda: listens(fed.ports[0]), 60, "the SuperLink without TLS")
        fed.start_client(0)
        fed.finish("client-0", code=1, timeout=120)
    finally:
        link.stop(10)
    [line] = [line for line in fed.log("client-0").splitlines() if line.startswith("fedgan: ")]
    assert f"{address} does not speak TLS" in line
    fed.start_server()
    fed.wait_until(lambda: listens(fed.ports[0]), 60, "the server")
    command = [program("flower-supernode"), "--insecure", "--superlink", address, "--max-retries", "1"]
    command += ["--host", "127.0.0.1", "--port", str(fed.ports[1])]
    node = Child("plain SuperNode", command, fed.root / "plain-node.log", environment)
    try:
        assert fed.wait_until(node.code, 120, "the SuperNode without TLS to give up") > 0
    finally:
        node.stop(10)
    assert "Server disconnected without sending a response." in node.words()
    fed.start_client(0)
    fed.finish()
    assert fed.rows() == 1


def listens(port: int) -> bool:
    """Return whether somebody accepts connections at `port`."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
