"""Which nodes the SuperLink accepts: those whose public keys lie in the server's folder, and no others."""

from __future__ import annotations

import json

from fedgan.errors import FedganError
from fedgan.federation.deploy.server_folder import ServerFolder
from fedgan.federation.deploy.superlink import flwr
from fedgan.files import write_text

_LINK = "fedgan"


def update_nodes(folder: ServerFolder) -> list[str]:
    """Register the keys that are new, unregister the revoked ones, and return the clients that may take part."""
    registered = _read(folder)
    for client, key in folder.public_keys().items():
        if client not in registered:
            try:
                answer = flwr(folder, "supernode", "register", str(key), _LINK)
            except FedganError as error:
                raise FedganError(f"client {client}: {error}") from None
            registered[client] = str(answer["node-id"])
            _write(folder, registered)
    for client in folder.revoked_keys():
        if client in registered:
            flwr(folder, "supernode", "unregister", registered[client], _LINK)
            del registered[client]
            _write(folder, registered)
    return sorted(registered)


def _read(folder: ServerFolder) -> dict[str, str]:
    """Return node identifiers by client, as the database of the SuperLink has them."""
    if not folder.database.exists() or not folder.registered.exists():
        return {}
    return dict(json.loads(folder.registered.read_text(encoding="utf-8")))


def _write(folder: ServerFolder, registered: dict[str, str]) -> None:
    write_text(folder.registered, json.dumps(registered, indent=2) + "\n")
