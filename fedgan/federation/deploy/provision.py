"""One folder to keep for the operator, one for the server, one to carry to each site; no secret lies in two of them."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from fedgan.config import Config
from fedgan.errors import UsageError, bad_value
from fedgan.federation.daemon.site import SiteFolder
from fedgan.federation.deploy.certificates import (
    expires,
    new_authority,
    new_key,
    node_key_pair,
    server_certificate,
)
from fedgan.federation.deploy.guides import operator_guide, site_guide, site_toml
from fedgan.federation.deploy.server_folder import ServerFolder, load_server
from fedgan.files import write_bytes, write_text

_RENEW_BEFORE = timedelta(days=30)
_FIRST_NODE_PORT, _NODE_PORTS = 9094, 20000


class Provision:
    """The folder `path` in which a federation's parties are set up.

    Attributes:
        server: the server's folder.
        host, port: where sites reach the server.
    """

    def __init__(self, path: Path, *, host: str | None, port: int | None) -> None:
        self.path = path
        self.server = ServerFolder(path / "server")
        known = load_server(self.server) if self.server.config.exists() else None
        self.host = host or (known.host if known else "127.0.0.1")
        self.port = port or (known.port if known else 9443)
        self._authority_key = path / "authority" / "ca.key"

    def prepare_server(self) -> None:
        """Write what the server needs; what is there and still valid stays.

        Raises:
            UsageError: the folder cannot be written, or its authority's key has been taken away.
        """
        try:
            self.server.nodes.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be written: {error.strerror}") from None
        self.server.path.chmod(0o700)
        if not self.server.authority.exists():
            self._authority_key.parent.mkdir(mode=0o700, exist_ok=True)
            certificate, key = new_authority()
            write_bytes(self._authority_key, key, mode=0o600)
            write_bytes(self.server.authority, certificate)
        if self._needs_certificate():
            self._write_certificate()
        if not self.server.config.exists() or (self.host, self.port) != self._written_address():
            write_text(self.server.config, self._server_toml())
        write_text(self.server.path / "README.md", operator_guide(self.host, self.port))

    def add_client(self, client: str, demo: Config | None, classes: int, threads: int) -> SiteFolder:
        """Write the folder of a new `client`, whose policy fits `demo` if given; return it."""
        site = SiteFolder(self.path / f"client-{client}")
        site.path.mkdir(mode=0o700, exist_ok=True)
        site.path.chmod(0o700)
        for folder in (site.private, site.flower, site.logs):
            folder.mkdir(mode=0o700, exist_ok=True)
        private, public = node_key_pair(new_key())
        write_bytes(site.key, private, mode=0o600)
        write_bytes(site.public_key, public)
        write_bytes(site.authority, self.server.authority.read_bytes())
        node_port = _FIRST_NODE_PORT + int(client) % _NODE_PORTS
        address = f"{_bracketed(self.host)}:{self.port}"
        write_text(site.config, site_toml(client, address, node_port, demo, classes=classes, threads=threads))
        write_text(site.path / "README.md", site_guide(client))
        write_bytes(self.server.nodes / f"{client}.pub", public)  # last: from now on the client is one
        return site

    def clients(self) -> list[str]:
        """Return the names given so far, revoked ones included: a name is never given twice."""
        return sorted({*self.server.public_keys(), *self.server.revoked_keys()})

    def revoke(self, client: str) -> None:
        """Strike `client` out: the server refuses its key from its next start on."""
        keys = self.server.public_keys()
        if client not in keys:
            raise bad_value("--revoke", client, f"one of {', '.join(keys) or 'no client: there is none'}")
        keys[client].rename(keys[client].with_suffix(".revoked"))

    def _needs_certificate(self) -> bool:
        if not self.server.certificate.exists() or not self.server.key.exists():
            return True
        soon = datetime.now(UTC) + _RENEW_BEFORE
        return expires(self.server.certificate.read_bytes()) < soon or self._written_address()[0] != self.host

    def _write_certificate(self) -> None:
        if not self._authority_key.exists():
            raise UsageError(f"{self._authority_key} is missing: without it no certificate for the server can be made")
        authority, key = self.server.authority.read_bytes(), self._authority_key.read_bytes()
        certificate, private = server_certificate(authority, key, self.host)
        write_bytes(self.server.key, private, mode=0o600)
        write_bytes(self.server.certificate, certificate)

    def _written_address(self) -> tuple[str | None, int | None]:
        if not self.server.config.exists():
            return None, None
        settings = load_server(self.server)
        return settings.host, settings.port

    def _server_toml(self) -> str:
        listen = "127.0.0.1" if _is_loopback(self.host) else "0.0.0.0"
        return (
            "# The server of a federation. Sites connect to host:port; keep control_port to yourself: it stays on\n"
            "# 127.0.0.1, and whoever reaches it can start runs.\n"
            f"host = {json.dumps(self.host)}\n"
            f"listen = {json.dumps(listen)}\n"
            f"port = {self.port}\n"
            f"control_port = {self.port + 1}\n"
            "patience = 120.0          # seconds to wait for all sites before a run begins\n"
            "largest_reply = 512       # MiB that a site may send in answer to one request\n"
        )


def provision(
    path: Path,
    *,
    clients: int,
    host: str | None = None,
    port: int | None = None,
    demo: Config | None = None,
    classes: int = 0,
) -> list[SiteFolder]:
    """Set up, or extend, a federation of `clients` sites in `path`; return the folders of those that are new.

    Args:
        clients: sites in all, those set up before and since revoked included.
        host, port: where sites reach the server; by default what was given before, or 127.0.0.1 and 9443.
        demo: a configuration for whose run the sites' policies are written; they share the cores of this machine.
        classes: of the data, agreed on in public; 0 leaves it to the sites.
    """
    setup = Provision(path, host=host, port=port)
    setup.prepare_server()
    known = setup.clients()
    names = [f"{index:05d}" for index in range(clients)]
    threads = demo.threads or _share_of_cores(clients) if demo else 0
    return [setup.add_client(name, demo, classes, threads) for name in names if name not in known]


def _share_of_cores(clients: int) -> int:
    """Return the threads of each of `clients` vaults on this machine: more than cores wait for each other, spinning."""
    return max(1, len(os.sched_getaffinity(0)) // clients)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
