"""The daemon as a process: one a folder, a clean end, and a kill that loses and doubles no charge."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from fedgan.config import Config, flatten
from fedgan.federation.daemon.remote import RemoteVault
from fedgan.federation.daemon.site import SiteFolder
from fedgan.federation.requests import Description
from fedgan.federation.server_setup import server_of
from fedgan.privacy.ledger import read_ledger

pytestmark = pytest.mark.privacy

Configure = Callable[..., Config]
Start = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def start(site: SiteFolder) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "fedgan.federation.daemon", str(site.path)]
        with (site.path / f"log-{len(started)}").open("w") as log:
            started.append(subprocess.Popen(command, stderr=log, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_killed_vault_answers_again_without_a_second_charge(
    site: SiteFolder, start: Start, configure: Configure
) -> None:
    config = configure()
    request = server_of(config, [Description("00000", 48, (1, 8, 8), 4)]).embed_request()
    vault = RemoteVault(str(site.socket), flatten(config.model_dump()), patience=60)
    first = start()
    before = vault.embed(request)
    first.send_signal(signal.SIGKILL)
    first.wait(10)
    second = start()
    again = RemoteVault(str(site.socket), flatten(config.model_dump()), patience=60).embed(request)
    assert (again.arrays["embedding"] == before.arrays["embedding"]).all()
    assert sum(line.event is not None for line in read_ledger(site.ledger)) == 1
    third = start()
    assert third.wait(60) == 2
    assert "another vault serves this folder" in (site.path / "log-2").read_text()
    second.send_signal(signal.SIGTERM)
    assert second.wait(20) == 0


def test_the_relay_loads_no_torch() -> None:
    program = "import sys, client.app; print('torch' in sys.modules, 'flwr' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux' own")
def test_a_closed_process_is_closed_to_its_own_user() -> None:
    program = (
        "import ctypes; from fedgan.federation.daemon.closed import close_to_others; "
        "asked = ctypes.CDLL(None).prctl; before = asked(3); close_to_others(); print(before, asked(3))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "0"]
