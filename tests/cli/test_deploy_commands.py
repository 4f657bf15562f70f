"""The commands of a federation on separate machines: bad usage is one line and exit code 2, before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedgan.config import load_config
from fedgan.federation.deploy.server import check_for_sites

Call = Callable[..., Any]
Refused = Callable[..., str]


@pytest.fixture
def provisioned(tmp_path: Path, fedgan: Call) -> Path:
    assert fedgan("provision", str(tmp_path / "fed"), "--clients", "2").code == 0
    return tmp_path / "fed"


def test_provision_says_what_goes_where(tmp_path: Path, fedgan: Call) -> None:
    result = fedgan("provision", str(tmp_path), "--clients", "1", "--host", "a.example")
    assert result.code == 0
    assert "client-00000: carry it to its machine" in result.out
    assert "authority: keep it offline" in result.out


def test_revoke_strikes_out(provisioned: Path, fedgan: Call) -> None:
    assert fedgan("provision", str(provisioned), "--revoke", "00001").code == 0
    assert not (provisioned / "server" / "nodes" / "00001.pub").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["provision", "{fed}"], "give --clients N, or --revoke CLIENT"),
        (["provision", "{fed}", "--clients", "0"], "--clients"),
        (["provision", "{fed}", "--revoke", "00009"], "--revoke = '00009' is not accepted"),
        (["provision", "{fed}", "--clients", "4", "--demo", "{digits}"], "--clients = 4 is not accepted: give 5"),
        (["client", "{fed}/nowhere"], "client.toml: cannot be read"),
        (["server", "{fed}/server", "--output", "{fed}/run"], "--config is missing"),
        (["server", "{fed}/server", "--output", "{fed}/run", "--resume"], "holds no run"),
        (["server", "{fed}/server", "--output", "{fed}/run", "--config", "{digits}"], "holds the keys of 2 sites"),
        (
            [
                *["server", "{fed}/server", "--output", "{fed}/run", "--config", "{digits}"],
                *["--set", "partition.clients=2", "--set", "federation.absence=0.5"],
            ],
            "federation.absence = 0.5 is not accepted: give 0: real clients are absent when they are",
        ),
        (
            [
                *["server", "{fed}/server", "--output", "{fed}/run", "--config", "{digits}"],
                *["--set", "partition.clients=2", "--set", "privacy.evaluation_epsilon=2"],
            ],
            "privacy.evaluation_epsilon = 2.0 is not accepted: give 0: records at sites answer no",
        ),
        (["server", "{fed}", "--output", "{fed}/run", "--config", "{digits}"], "server.toml: cannot be read"),
    ],
)
def test_bad_usage_is_one_line(
    provisioned: Path, config: Path, refused: Refused, arguments: list[str], words: str
) -> None:
    assert words in refused(*(word.format(fed=provisioned, digits=config) for word in arguments))
    assert not (provisioned / "run").exists()


def test_a_run_that_was_begun_with_room_for_an_evaluation_goes_on_and_says_so_once() -> None:
    said: list[str] = []
    room = ["privacy.evaluation_epsilon=2"]
    check_for_sites(load_config(None, room), resume=True, say=said.append)
    for resume in (False, True):
        check_for_sites(load_config(None, [*room, "privacy.level='none'"]), resume=resume, say=said.append)
        check_for_sites(load_config(None, []), resume=resume, say=said.append)
    assert said == ["warning: privacy.evaluation_epsilon = 2 stays unspent: records at sites answer no private reads"]


def test_a_site_that_does_not_run_is_not_well(provisioned: Path, refused: Refused) -> None:
    assert "does not run" in refused("client", str(provisioned / "client-00000"), "--check", code=1)
