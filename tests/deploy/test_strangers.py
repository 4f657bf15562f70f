"""Who may not take part is refused, in one clear line, and the run goes on with those who may."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest

from fedgan.federation.deploy.certificates import server_certificate
from fedgan.federation.deploy.provision import Provision, provision

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


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
