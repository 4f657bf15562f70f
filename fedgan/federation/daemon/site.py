"""client.toml: what a site holds, what it allows, and where it connects to. The site alone writes it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from fedgan.config.places import line_of
from fedgan.config.schema import Count, Positive, PositiveCount, ProperFraction, Table, Text
from fedgan.errors import UsageError
from fedgan.privacy.plan import Level, Trust

Port = Annotated[int, Field(ge=1, le=65535)]
SITE_FILE = "client.toml"


class SiteData(Table):
    """Where the site's records lie."""

    name: Text = "npz"
    """A name in the registry of data sources; its training part is what the site trains on."""
    root: Text = ""
    """Folder or file, relative to the folder of client.toml."""
    image_size: Count = 0
    channels: Literal[0, 1, 3] = 0
    classes: Count = 0
    """Number of classes, agreed on by all sites in public; 0 counts the site's own labels, which gives that away."""


class Policy(Table):
    """What a server may ask of this site, whatever its configuration says."""

    epsilon: Positive = 10.0
    """The most that the ledger may ever hold, over all runs."""
    delta: ProperFraction = 1e-5
    """The largest delta of a run."""
    least_noise: Positive = 0.5
    """The least noise multiplier of any private mechanism."""
    largest_clip: Positive = 1.0
    most_steps: PositiveCount = 100
    """The most discriminator steps in a round."""
    most_weights: PositiveCount = 50_000_000
    """The most weights of both networks and the warm start's features; a request may bring as many numbers."""
    algorithms: list[Text] = Field(default=["fedgan", "dp_fedavg_gan", "fedsgd"])
    levels: list[Level] = Field(default=["record"])
    """With "none" in it the site gives its records away unprotected."""
    trusts: list[Trust] = Field(default=["local"])
    """With "aggregator" in it the site sends sums without noise to the server."""


class Machine(Table):
    """What the vault may use."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(ge=0, le=4096)] = 0


class Connection(Table):
    """The server, and this site's own port for Flower's processes on this machine."""

    address: Text = "127.0.0.1:9443"
    """host:port of the server."""
    port: Port = 9094
    """On 127.0.0.1; two sites on one machine need different ones."""


class Site(Table):
    """One client.toml."""

    client: Annotated[str, Field(pattern=r"^[0-9]{5}$")]
    """Five digits, as in the ledger's lines."""
    sign_key: str = ""
    """File of the private key that signs the ledger, relative to the folder of client.toml; "" leaves it unsigned."""
    data: SiteData = SiteData()
    policy: Policy = Policy()
    machine: Machine = Machine()
    connection: Connection = Connection()


class SiteFolder:
    """Paths below the folder of a site; what may not leave it lies there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / SITE_FILE
        self.authority = path / "ca.crt"
        self.key = path / "node.key"
        self.public_key = path / "node.pub"
        self.ledger = path / "ledger.jsonl"
        self.refusals = path / "refusals.jsonl"
        self.health = path / "health.json"
        self.private = path / "vault"
        self.socket = self.private / "socket"
        self.lock = self.private / "lock"
        self.logs = path / "logs"
        self.flower = path / "flower"


def load_site(folder: SiteFolder) -> Site:
    """Return what client.toml in `folder` says.

    Raises:
        UsageError: it is missing, no TOML, or a key or value is not accepted; the line names file, line and key.
    """
    path = folder.config
    try:
        text = path.read_text(encoding="utf-8")
        return Site.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
        line = line_of(text, key)
        raise UsageError(f"{path}{f':{line}' if line else ''}: {key}: {_in_words(first['msg'])}", key) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(f"{path}: cannot be read: {reason}; `fedgan provision` writes it") from None


def _in_words(message: str) -> str:
    return "this key is unknown" if message.startswith("Extra inputs") else message[:1].lower() + message[1:]
