"""One site of 48 records of 1 x 8 x 8 in 4 classes, its vault behind a real socket, and a server's requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from fedgan.config import Config, load_config
from fedgan.data import ImageDataset
from fedgan.federation.daemon.refusals import Refusals
from fedgan.federation.daemon.remote import RemoteVault
from fedgan.federation.daemon.service import VaultService, listen
from fedgan.federation.daemon.site import SiteFolder, load_site
from fedgan.federation.daemon.vaults import SiteVaults

TINY = (
    "threads=1",
    "device='cpu'",
    "partition.clients=1",
    "model.width=8",
    "model.latent_dim=4",
    "training.batch_size=12",
    "training.generator_batch_size=6",
    "training.warm_start_features=8",
    "federation.rounds=3",
    "federation.local_steps=4",
    "privacy.accountant='rdp'",
    "privacy.delta=1e-3",
)
SITE = """
client = "00000"

[data]
root = "data.npz"
classes = 4

[policy]
epsilon = 10.0
delta = 1e-3
least_noise = 0.5
most_steps = 4
levels = ["record", "none"]

[machine]
device = "cpu"
threads = 1
"""

Configure = Callable[..., Config]


@pytest.fixture
def configure() -> Configure:
    return lambda *overrides: load_config(None, [*TINY, *overrides])


@pytest.fixture
def site(records: ImageDataset) -> Iterator[SiteFolder]:
    with TemporaryDirectory(prefix="site-") as name:  # a socket's path has to be short
        folder = SiteFolder(Path(name))
        images, labels = records.images[:, 0].numpy(), records.labels.numpy()
        np.savez(
            folder.path / "data.npz",
            train_images=images,
            train_labels=labels,
            test_images=images[:1],
            test_labels=labels[:1],
        )
        folder.config.write_text(SITE)
        folder.private.mkdir(mode=0o700)
        yield folder


@pytest.fixture
def serve(site: SiteFolder) -> Iterator[Callable[[Config], RemoteVault]]:
    """Return the vault behind the socket, asked under a configuration."""
    vaults = SiteVaults(site, load_site(site))
    server = listen(VaultService(vaults, Refusals(site.refusals)), site.socket)
    yield lambda config: remote(site, config)
    server.stop(None).wait()


def remote(site: SiteFolder, config: Config) -> RemoteVault:
    from fedgan.config import flatten

    return RemoteVault(str(site.socket), flatten(config.model_dump()), patience=60)
