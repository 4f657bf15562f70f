"""Whether the server can be reached, and is who it should be: asked before a node is started, to say it in one line."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from fedgan.errors import FedganError, UsageError

_PATIENCE_S = 10.0


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of "host:port" or "[host]:port"; raises UsageError."""
    host, separator, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise UsageError(f"connection.address = {address!r} is not accepted: give host:port", "connection.address")
    return host, int(port)


def reach(address: str, authority: Path) -> str | None:
    """Return None if a server of this federation answers at `address`, else why nothing answers there yet.

    Raises:
        FedganError: something answers that is not the federation's server; waiting will not help.
    """
    host, port = split_address(address)
    try:
        context = ssl.create_default_context(cafile=str(authority))
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{authority} cannot be read as a certificate: {error}") from None
    try:
        with (
            socket.create_connection((host, port), timeout=_PATIENCE_S) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        raise FedganError(f"{address} is not the server of this federation: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise FedganError(f"{address} does not speak TLS: {error.reason}") from None
    except OSError as error:
        return f"{address} does not answer: {error.strerror or error}"
