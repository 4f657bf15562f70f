"""The server's folder and server.toml in it."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import ValidationError

from fedgan.config.schema import Positive, PositiveCount, Table, Text
from fedgan.errors import UsageError
from fedgan.federation.daemon.site import Port

SERVER_FILE = "server.toml"


class ServerSettings(Table):
    """One server.toml."""

    host: Text = "127.0.0.1"
    """Name or address under which the sites reach this machine; the certificate names it."""
    listen: Text = "127.0.0.1"
    """Address of this machine that sites connect to; 0.0.0.0 for every one."""
    port: Port = 9443
    """Open to the sites: passes on what nodes send, and nothing else."""
    control_port: Port = 9444
    """On 127.0.0.1 alone: who reaches it can start runs."""
    patience: Positive = 120.0
    """Seconds to wait for all sites before a run begins."""
    largest_reply: PositiveCount = 512
    """MiB that a site may send in answer to one request."""


class ServerFolder:
    """Paths below the server's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / SERVER_FILE
        self.authority = path / "ca.crt"
        self.certificate = path / "server.crt"
        self.key = path / "server.key"
        self.nodes = path / "nodes"
        self.database = path / "state.db"
        self.registered = path / "registered.json"
        self.flower = path / "flower"
        self.logs = path / "logs"
        self.run_log = self.logs / "run.log"
        self.lock = path / "lock"

    def public_keys(self) -> dict[str, Path]:
        """Return the public keys of the sites that may take part, by client."""
        return {path.stem: path for path in sorted(self.nodes.glob("*.pub"))}

    def revoked_keys(self) -> dict[str, Path]:
        """Return the public keys of the sites that may no longer take part, by client."""
        return {path.stem: path for path in sorted(self.nodes.glob("*.revoked"))}


def load_server(folder: ServerFolder) -> ServerSettings:
    """Return what server.toml in `folder` says; raises UsageError."""
    try:
        return ServerSettings.model_validate(tomllib.loads(folder.config.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{folder.config}: not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UsageError(f"{folder.config}: {key}: {first['msg']}", key) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(f"{folder.config}: cannot be read: {reason}; `fedgan provision` writes it") from None
