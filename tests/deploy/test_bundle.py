"""What Flower carries to the sites: two files of wiring, the same that lie in the checkout."""

from __future__ import annotations

import tomllib
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

from flwr.cli.build import build_fab_from_disk

from fedgan.config import Config, config_from_flat, flatten
from fedgan.federation.deploy.bundle import CLIENT_APP, SERVER_APP, write_bundle
from fedgan.federation.node import SERVER_KEYS

ROOT = Path(__file__).parents[2]
SETTINGS = {"output": '/runs/a "b"', "mode": "new", "patience": 1.5, "nodes": '{"00000": "1"}', "log": "/l"}


def test_the_wiring_is_that_of_the_checkout() -> None:
    assert (ROOT / "server" / "app.py").read_text() == SERVER_APP
    assert (ROOT / "client" / "app.py").read_text() == CLIENT_APP


def test_a_bundle_holds_no_library_and_no_data(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "app", Config(), SETTINGS)
    with ZipFile(BytesIO(build_fab_from_disk(bundle))) as content:
        names = [name for name in content.namelist() if not name.startswith(".info")]
    assert set(names) == {
        "README.md",
        "client/__init__.py",
        "client/app.py",
        "pyproject.toml",
        "server/__init__.py",
        "server/app.py",
    }


def test_the_configuration_arrives_as_it_was(tmp_path: Path) -> None:
    write_bundle(tmp_path / "app", Config(), SETTINGS)
    document = tomllib.loads((tmp_path / "app" / "pyproject.toml").read_text())
    found = flatten(document["tool"]["flwr"]["app"]["config"])
    assert {key: found.pop(key) for key in SERVER_KEYS} == SETTINGS
    assert config_from_flat(found) == Config()
