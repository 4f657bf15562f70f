"""A site's processes: the vault, and the node that carries its messages; both are kept running until we are stopped."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event
from time import monotonic

from fedgan.errors import FedganError
from fedgan.federation.daemon.site import Site, SiteFolder, load_site
from fedgan.federation.deploy.processes import Child, flower_environment, program
from fedgan.federation.deploy.reach import reach
from fedgan.federation.deploy.superlink import last_line
from fedgan.federation.deploy.supervisor import Kept
from fedgan.files import write_text

_LOGGER = logging.getLogger(__name__)

_LOOK_S = 0.5
_HEALTH_S = 5.0
_STALE_S = 30.0
_GRACE_S = 10.0
_VAULT_DELAYS = (1.0, 2.0, 5.0, 15.0, 60.0)
# The SuperLink takes a node that was lost for one that is still there for about a minute, and refuses it.
_NODE_DELAYS = (5.0, 15.0, 15.0, 30.0, 60.0)
_REFUSED_KEY = ("[2004]", "NODE_NOT_ACTIVATED", "invalid node")


def run_client(folder: SiteFolder, say: Callable[[str], None]) -> None:
    """Run the site in `folder` until SIGTERM or SIGINT.

    Args:
        folder: of the site.
        say: is told, once, that everything runs.

    Raises:
        FedganError: the site's file, data or key is not in order, or what answers is not this federation's server.
    """
    site = load_site(folder)
    for path in (folder.authority, folder.key):
        if not path.is_file():
            raise FedganError(f"{path} is missing; `fedgan provision` writes it")
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    vault = Kept("vault", lambda: _start_vault(folder), _VAULT_DELAYS)
    node = Kept("node", lambda: _start_node(folder, site), _NODE_DELAYS, _explain)
    try:
        _keep(folder, site, vault, node, stopped, say)
    finally:
        node.stop(_GRACE_S)
        vault.stop(_GRACE_S)
        _write_health(folder, site, vault, node)


def is_well(folder: SiteFolder) -> bool:
    """Return whether the site in `folder` is run and its processes are up, as its health file says."""
    try:
        health = json.loads(folder.health.read_text(encoding="utf-8"))
        age = datetime.now(UTC) - datetime.fromisoformat(health["time"])
        return age.total_seconds() < _STALE_S and bool(health["vault"]["running"] and health["node"]["running"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _keep(folder: SiteFolder, site: Site, vault: Kept, node: Kept, stopped: Event, say: Callable[[str], None]) -> None:
    told, written = False, 0.0
    while not stopped.wait(_LOOK_S):
        before = (vault.running, node.running)
        _look_at_vault(vault, folder)
        if folder.socket.exists() or node.child is not None:
            node.look()
        if before != (vault.running, node.running) or monotonic() - written > _HEALTH_S:
            _write_health(folder, site, vault, node)
            written = monotonic()
        if node.running and not told:
            told = True
            say(f"client {site.client}: vault and node run, towards {site.connection.address}")


def _look_at_vault(vault: Kept, folder: SiteFolder) -> None:
    """Keep the vault running; raises FedganError when it ends because what it was given is not in order."""
    child = vault.child
    if child is not None and child.code() in (2, 4):
        words = last_line(child.words()).removeprefix("fedgan: ")
        error = FedganError(words)
        error.exit_code = child.code() or 1
        raise error
    vault.look()


def _start_vault(folder: SiteFolder) -> Child:
    folder.socket.unlink(missing_ok=True)  # it says when the vault is ready
    command = [sys.executable, "-m", "fedgan.federation.daemon", str(folder.path)]
    return Child("vault", command, folder.logs / "vault.log", os.environ)


def _start_node(folder: SiteFolder, site: Site) -> Child | None:
    if reason := reach(site.connection.address, folder.authority):
        _LOGGER.info("%s", reason)
        return None
    command = [
        program("flower-supernode"),
        *("--root-certificates", str(folder.authority)),
        *("--superlink", site.connection.address),
        *("--auth-supernode-private-key", str(folder.key)),
        *("--host", "127.0.0.1"),
        *("--port", str(site.connection.port)),
        *("--node-config", f"vault={json.dumps(str(folder.socket.absolute()))}"),
    ]
    environment = flower_environment(folder.flower.absolute())
    return Child("node", command, folder.logs / "node.log", environment)


def _explain(words: str) -> str:
    if any(sign in words for sign in _REFUSED_KEY):
        return "the server refuses this site's key: it is not registered, or was lost less than a minute ago"
    return last_line(words)


def _write_health(folder: SiteFolder, site: Site, vault: Kept, node: Kept) -> None:
    facts = {
        kept.name: {
            "running": kept.running,
            "pid": kept.child.pid if kept.child and kept.running else None,
            "restarts": kept.restarts,
        }
        for kept in (vault, node)
    }
    document = {"time": datetime.now(UTC).isoformat(), "client": site.client, **facts}
    write_text(folder.health, json.dumps(document, indent=2) + "\n")
