"""The daemon as a process: one a folder, a clean end, and a kill that loses and doubles no charge."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import grpc
import pytest

from fedgan.config import Config, flatten
from fedgan.federation.daemon.remote import RemoteVault
from fedgan.federation.daemon.site import SiteFolder
from fedgan.federation.requests import Description, Refusal, Release, TrainRequest
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


@pytest.mark.slow
def test_a_hostile_relay_gets_codes_that_the_site_reads(site: SiteFolder, start: Start, configure: Configure) -> None:
    """Code in the relay's place, at the socket of the real process: no ledger and no record moves."""
    site.config.write_text(site.config.read_text().replace('"record", "none"', '"record"'))
    start()
    honest = configure("training.warm_start='none'")
    request = server_of(honest, [Description("00000", 48, (1, 8, 8), 4)]).train_request()
    demands: list[tuple[str, Config, dict[str, Any]]] = [
        (Refusal.AGAINST_POLICY, configure("training.warm_start='none'", "privacy.epsilon=60"), {}),  # less noise
        (Refusal.AGAINST_POLICY, configure("federation.local_steps=5"), {"steps": 5}),
        (Refusal.BAD_REQUEST, honest, {"steps": 5}),
        (Refusal.AGAINST_POLICY, configure("privacy.level='none'"), {}),  # the records' own gradients
        (Refusal.BUDGET_SPENT, honest, {"round": 4}),
        (Refusal.BUDGET_SPENT, configure("training.warm_start='none'", "federation.rounds=99"), {"run": "another"}),
    ]
    for number in (1, 2, 3):
        ask(site, honest, replace(request, round=number))
    ledger = site.ledger.read_bytes()
    for code, config, changes in demands:
        with pytest.raises(Refusal) as caught:
            ask(site, config, replace(request, **changes))
        assert caught.value.code == code
    with grpc.insecure_channel(f"unix:{site.socket}") as channel:
        for method in ("Records", "Ledger", "Evaluate"):
            with pytest.raises(grpc.RpcError) as unknown:
                channel.unary_unary(f"/fedgan.Vault/{method}")(b"")
            assert unknown.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert site.ledger.read_bytes() == ledger
    recorded = [json.loads(line)["code"] for line in site.refusals.read_text().splitlines()]
    assert recorded == [code for code, _, _ in demands] + [Refusal.BAD_REQUEST] * 3


def ask(site: SiteFolder, config: Config, request: TrainRequest) -> Release:
    return RemoteVault(str(site.socket), flatten(config.model_dump()), patience=60).train(request)


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
