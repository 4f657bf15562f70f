"""A site's processes: the vault, and the node that carries its messages; both are kept running until we are stopped."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from time import monotonic

from fedgan.errors import FedganError
from fedgan.federation.daemon.closed import close_to_others
from fedgan.federation.daemon.site import Site, SiteFolder, load_site
from fedgan.federation.deploy.processes import Child, flower_environment, program
from fedgan.federation.deploy.reach import reach
from fedgan.federation.deploy.superlink import last_line
from fedgan.federation.deploy.supervisor import Kept
from fedgan.files import write_text

_LOOK_S = 0.5
_HEALTH_S = 5.0
_STALE_S = 30.0
_GRACE_S = 10.0
_VAULT_DELAYS = (1.0, 2.0, 5.0, 15.0, 60.0)
# The SuperLink takes a node that was lost for one that is still there for up to a minute, refuses it so long, and tells
# the server that a message to it is lost only while it is away: one that came back at once would be waited for in vain.
_NODE_DELAYS = (75.0,)
_REFUSED_KEY = "[code: 2004]"


VAULT, NODE = "vault", "node"
BOTH = (VAULT, NODE)


def run_client(folder: SiteFolder, say: Callable[[str], None], parts: Sequence[str] = BOTH) -> None:
    """Run the site in `folder` until SIGTERM or SIGINT.

    Args:
        folder: of the site.
        say: is told, once, that everything runs.
        parts: what to run here: where the two run apart, the node can be kept from all files but its own.

    Raises:
        FedganError: the site's file, data or key is not in order, or what answers is not this federation's server.
    """
    site = load_site(folder)
    for path in (folder.authority, folder.key) if NODE in parts else ():
        if not path.is_file():
            raise FedganError(f"{path} is missing; `fedgan provision` writes it")
    if VAULT in parts:
        close_to_others()
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    all_kept = {
        VAULT: Kept(VAULT, lambda: _start_vault(folder), _VAULT_DELAYS),
        NODE: Kept(NODE, lambda: _start_node(folder, site), _NODE_DELAYS, _explain),
    }
    kept = [all_kept[part] for part in parts]
    try:
        _keep(folder, site, kept, stopped, say)
    finally:
        for one in reversed(kept):
            one.stop(_GRACE_S)
        _write_health(folder, site, kept)


def is_well(folder: SiteFolder, parts: Sequence[str] = BOTH) -> bool:
    """Return whether these `parts` of the site in `folder` are run and up, as their health file says."""
    try:
        health = json.loads(_health_file(folder, parts).read_text(encoding="utf-8"))
        age = datetime.now(UTC) - datetime.fromisoformat(health["time"])
        return age.total_seconds() < _STALE_S and all(health[part]["running"] for part in parts)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _health_file(folder: SiteFolder, parts: Sequence[str]) -> Path:
    """Return the health file; a node that runs apart writes among its logs, the rest being closed to it."""
    return folder.logs / folder.health.name if list(parts) == [NODE] else folder.health


def _keep(folder: SiteFolder, site: Site, kept: Sequence[Kept], stopped: Event, say: Callable[[str], None]) -> None:
    told, written = False, 0.0
    while not stopped.wait(_LOOK_S):
        before = [one.running for one in kept]
        for one in kept:
            if one.name == VAULT:
                _look_at_vault(one, folder)
            elif folder.socket.exists() or one.child is not None:
                one.look()
        now = [one.running for one in kept]
        if before != now or monotonic() - written > _HEALTH_S:
            _write_health(folder, site, kept)
            written = monotonic()
        if all(now) and not told:
            told = True
            names = " and ".join(one.name for one in kept)
            say(f"client {site.client}: {names} run, towards {site.connection.address}")


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


def _start_node(folder: SiteFolder, site: Site) -> Child | str:
    if reason := reach(site.connection.address, folder.authority):
        return reason
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
    if _REFUSED_KEY in words:
        return "the server refuses this site's key: it is not registered, or was lost less than a minute ago"
    return last_line(words)


def _write_health(folder: SiteFolder, site: Site, kept: Sequence[Kept]) -> None:
    facts = {
        one.name: {
            "running": one.running,
            "pid": one.child.pid if one.child and one.running else None,
            "restarts": one.restarts,
        }
        for one in kept
    }
    document = {"time": datetime.now(UTC).isoformat(), "client": site.client, **facts}
    write_text(_health_file(folder, [one.name for one in kept]), json.dumps(document, indent=2) + "\n")
