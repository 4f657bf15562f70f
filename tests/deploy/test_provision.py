"""What `fedgan provision` writes: folders to carry away, keys that lie in one place, and nothing twice."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from fedgan.config import Config, load_config, to_toml
from fedgan.data import load_data
from fedgan.errors import UsageError
from fedgan.federation.daemon.site import SiteFolder, load_site
from fedgan.federation.daemon.vaults import SiteVaults
from fedgan.federation.deploy.certificates import expires, new_authority, server_certificate
from fedgan.federation.deploy.demo import fill_demo
from fedgan.federation.deploy.provision import Provision, provision
from fedgan.federation.deploy.server_folder import ServerFolder, load_server
from fedgan.federation.sites import Sites

CLIENT_FILES = ("README.md", "ca.crt", "client.toml", "node.key", "node.pub")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_folders_hold_what_each_party_needs(tmp_path: Path) -> None:
    provision(tmp_path, clients=2, host="aggregator.example", port=8443)
    assert set(files_of(tmp_path)) == {
        "authority/ca.key",
        "server/README.md",
        "server/ca.crt",
        "server/nodes/00000.pub",
        "server/nodes/00001.pub",
        "server/server.crt",
        "server/server.key",
        "server/server.toml",
        *(f"client-{name}/{file}" for name in ("00000", "00001") for file in CLIENT_FILES),
    }
    site = load_site(SiteFolder(tmp_path / "client-00001"))
    assert site.client == "00001"
    assert site.connection.address == "aggregator.example:8443"
    settings = load_server(ServerFolder(tmp_path / "server"))
    assert (settings.host, settings.listen, settings.port) == ("aggregator.example", "0.0.0.0", 8443)


def test_no_secret_lies_in_two_places_or_is_open_to_others(tmp_path: Path) -> None:
    provision(tmp_path, clients=2)
    secrets = list(tmp_path.rglob("*.key"))
    assert len(secrets) == 4
    for secret in secrets:
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700
        body = b"".join(secret.read_bytes().splitlines()[1:-1])
        holders = [path for path in tmp_path.rglob("*") if path.is_file() and body in _joined(path)]
        assert holders == [secret]


def _joined(path: Path) -> bytes:
    return b"".join(path.read_bytes().splitlines())


def test_the_certificate_is_signed_for_the_server_and_nothing_else(tmp_path: Path) -> None:
    provision(tmp_path, clients=1, host="192.0.2.7")
    server = ServerFolder(tmp_path / "server")
    authority, certificate = (
        x509.load_pem_x509_certificate(path.read_bytes()) for path in (server.authority, server.certificate)
    )
    certificate.verify_directly_issued_by(authority)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name) for name in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "127.0.0.1"]
    days = (expires(server.certificate.read_bytes()) - datetime.now(UTC)).days
    assert 363 <= days <= 365


def test_node_keys_are_pairs_on_p384(tmp_path: Path) -> None:
    [site] = provision(tmp_path, clients=1)
    private = load_ssh_private_key(site.key.read_bytes(), None)
    public = load_ssh_public_key((tmp_path / "server" / "nodes" / "00000.pub").read_bytes())
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert private.curve.name == "secp384r1"
    assert private.public_key() == public
    assert site.public_key.read_bytes() == (tmp_path / "server" / "nodes" / "00000.pub").read_bytes()


def test_a_new_site_signs_its_ledger_with_its_node_key(tmp_path: Path) -> None:
    [site] = provision(tmp_path, clients=1)
    assert site.path / load_site(site).sign_key == site.key


def test_running_again_changes_nothing_and_adds_what_is_new(tmp_path: Path) -> None:
    provision(tmp_path, clients=2, port=8443)
    before = files_of(tmp_path)
    assert provision(tmp_path, clients=2) == []
    assert files_of(tmp_path) == before
    [site] = provision(tmp_path, clients=3)
    after = files_of(tmp_path)
    assert {name: after[name] for name in before} == before
    assert site.path.name == "client-00002"
    assert load_site(site).connection.address == "127.0.0.1:8443"


def test_a_folder_that_was_carried_away_is_not_made_again(tmp_path: Path) -> None:
    provision(tmp_path, clients=2)
    (tmp_path / "client-00001").rename(tmp_path / "elsewhere")
    assert provision(tmp_path, clients=2) == []


def test_who_is_struck_out_is_never_let_in_again(tmp_path: Path) -> None:
    provision(tmp_path, clients=2)
    Provision(tmp_path, host=None, port=None).revoke("00001")
    server = ServerFolder(tmp_path / "server")
    assert list(server.public_keys()) == ["00000"]
    assert list(server.revoked_keys()) == ["00001"]
    assert [site.path.name for site in provision(tmp_path, clients=3)] == ["client-00002"]
    with pytest.raises(UsageError, match=r"--revoke = '00001' is not accepted: give one of 00000, 00002"):
        Provision(tmp_path, host=None, port=None).revoke("00001")


def test_another_host_gets_another_certificate_and_needs_the_authority(tmp_path: Path) -> None:
    provision(tmp_path, clients=1)
    before = (tmp_path / "server" / "server.crt").read_bytes()
    provision(tmp_path, clients=1, host="aggregator.example")
    assert (tmp_path / "server" / "server.crt").read_bytes() != before
    (tmp_path / "authority" / "ca.key").unlink()
    with pytest.raises(UsageError, match=r"ca.key is missing"):
        provision(tmp_path, clients=1, host="other.example")


def test_a_certificate_that_runs_out_is_renewed(tmp_path: Path) -> None:
    provision(tmp_path, clients=1)
    server = ServerFolder(tmp_path / "server")
    key = (tmp_path / "authority" / "ca.key").read_bytes()
    old, _ = server_certificate(server.authority.read_bytes(), key, "127.0.0.1", days=20)
    server.certificate.write_bytes(old)
    provision(tmp_path, clients=1)
    assert server.certificate.read_bytes() != old


def test_an_expired_certificate_can_be_made_for_tests() -> None:
    certificate, _ = server_certificate(*new_authority(), "localhost", days=-1)
    assert expires(certificate) < datetime.now(UTC)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    settings = ("partition.clients=3", "partition.alpha=0.3", "threads=1", "device='cpu'", "privacy.delta=1e-4")
    config = load_config(None, list(settings))
    (tmp_path / "run.toml").write_text(to_toml(config))
    return config


@pytest.mark.parametrize(("threads", "cores", "each"), [(0, 8, 2), (0, 2, 1), (4, 2, 4)])
def test_the_sites_of_a_demo_share_the_cores_of_its_machine(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch, threads: int, cores: int, each: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(cores)))
    demo = config.model_copy(update={"threads": threads})
    made = provision(tmp_path / "fed", clients=3, demo=demo, classes=10)
    assert [load_site(site).machine.threads for site in made] == [each] * 3
    [own] = provision(tmp_path / "real", clients=1)
    assert load_site(own).machine.threads == 0


def test_a_demo_gives_each_site_exactly_its_part(tmp_path: Path, config: Config) -> None:
    sites = Sites(config, tmp_path)
    made = provision(tmp_path / "fed", clients=3, demo=config, classes=10)
    fill_demo(sites, made)
    for index, folder in enumerate(made):
        site = load_site(folder)
        assert site.policy.levels == ["record"]
        found = load_data(site.data.name, root=folder.path / site.data.root, image_size=0, channels=0).train
        wanted = sites.data.train.subset(sites.parts[index])
        np.testing.assert_array_equal(found.images.numpy(), wanted.images.numpy())
        np.testing.assert_array_equal(found.labels.numpy(), wanted.labels.numpy())
        description = SiteVaults(folder, site).describe()
        assert (description.client, description.records, description.num_classes) == (site.client, len(wanted), 10)
