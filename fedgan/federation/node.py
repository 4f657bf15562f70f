"""Which vault a Flower node speaks for: the one behind the socket that its site names, or a simulated one."""

from __future__ import annotations

from flwr.app import Context

from fedgan.federation.daemon.remote import RemoteVault
from fedgan.federation.relay import AnyVault

VAULT_KEY = "vault"
"""Key of a node's own configuration, which its site writes: the path of the vault's socket."""
SERVER_KEYS = frozenset({"output", "mode", "patience", "nodes", "log"})
"""Keys of a run's configuration that are the server's business alone."""


def vault_of(context: Context) -> AnyVault:
    """Return the vault of this node."""
    socket = context.node_config.get(VAULT_KEY)
    if isinstance(socket, str):
        config = {key: value for key, value in context.run_config.items() if key not in SERVER_KEYS}
        return RemoteVault(socket, config)
    # Imported here: it brings torch, which the process beside a vault has no use for.
    from fedgan.federation.apps import simulated_vault

    return simulated_vault(context)
