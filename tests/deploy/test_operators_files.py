"""What operators are given to start from is in order, as far as that can be told without running containers."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from typer.main import get_command

from fedgan.cli.app import app

ROOT = Path(__file__).parents[2]
UNITS = sorted([*ROOT.glob("client/*.service"), *ROOT.glob("server/*.service")])
COMPOSE = yaml.safe_load((ROOT / "client/compose.yaml").read_text())


def assert_parses(words: list[str]) -> None:
    """The command line `words`, without the program's name, is one that `fedgan` takes; nothing is run."""
    group: Any = get_command(app)
    group.get_command(click.Context(group), words[0]).make_context(words[0], words[1:])


@pytest.mark.parametrize("name", ["client/Containerfile", "server/Containerfile"])
def test_an_image_is_built_from_what_is_there(name: str) -> None:
    text = (ROOT / name).read_text().replace("\\\n", " ")
    copied = [word for line in re.findall(r"^COPY (.*)$", text, re.M) for word in line.split()[:-1]]
    assert {"pyproject.toml", "constraints.txt", "fedgan"} <= set(copied)
    assert [word for word in copied if not (ROOT / word).exists()] == []
    assert text.rstrip().endswith('ENTRYPOINT ["fedgan"]')
    script = re.search(r"^fedgan = (.*)$", (ROOT / "pyproject.toml").read_text(), re.M)
    assert script is not None
    base = re.search(r"^FROM docker.io/library/python:(\d+)\.(\d+)-slim$", text, re.M)
    assert base is not None
    assert (int(base[1]), int(base[2])) >= (3, 11)


def test_both_images_are_one() -> None:
    texts = [(ROOT / name / "Containerfile").read_text().partition("\n")[2] for name in ("client", "server")]
    assert texts[0] == texts[1]


def test_every_service_of_the_compose_file_is_a_command_of_fedgan() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"server", *(f"{part}-{index}" for part in ("vault", "node") for index in range(3))}
    for service in services.values():
        assert service["image"] == "fedgan"
        assert_parses(service["command"])


def test_in_the_compose_file_vaults_have_no_network_and_nodes_no_data() -> None:
    for name, service in COMPOSE["services"].items():
        inside = [volume.split(":")[1] for volume in service["volumes"]]
        if name.startswith("vault"):
            assert service["network_mode"] == "none"
        if name.startswith("node"):
            assert "network_mode" not in service
            assert sorted(inside) == ["/site/ca.crt", "/site/client.toml", "/site/node.key", "/site/vault"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_commands_of_fedgan(unit: Path) -> None:
    [line] = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.M)
    words = shlex.split(line)
    commands = re.findall(r"/opt/fedgan/bin/fedgan ([^;]*)", words[2] if words[0] == "/bin/sh" else line)
    assert commands
    for command in commands:
        assert_parses(shlex.split(command))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_finds_no_fault_in_a_unit(unit: Path, tmp_path: Path) -> None:
    for path in UNITS:  # they name each other, and a program that this machine has elsewhere
        text = path.read_text().replace("/opt/fedgan/bin/fedgan", sys.executable)
        (tmp_path / path.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit.name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    own = [line for line in (done.stdout + done.stderr).splitlines() if unit.name in line or "fedgan" in line]
    assert (done.returncode, own) == (0, [])
