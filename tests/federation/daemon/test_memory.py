"""A vault keeps freed memory while it answers, from before its threads start, and holds none of it while it waits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fedgan.config import Config
from fedgan.federation import machine
from fedgan.federation.daemon import __main__ as process
from fedgan.federation.daemon import service
from fedgan.federation.daemon.remote import RemoteVault
from fedgan.federation.daemon.site import SiteFolder
from fedgan.federation.requests import Description, Refusal
from fedgan.federation.server_setup import server_of

Configure = Callable[..., Config]


class BegunError(Exception):
    """Ends the process where its threads would start."""


def test_freed_memory_is_kept_before_there_are_threads(site: SiteFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def listen(*arguments: object) -> None:
        raise BegunError(*calls)

    monkeypatch.setattr(machine, "keep_freed_memory", lambda: calls.append("kept"))
    monkeypatch.setattr(process, "close_to_others", lambda: None)
    monkeypatch.setattr(process.signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(process, "listen", listen)
    with pytest.raises(BegunError, match="kept"):
        process.run(site)


def test_an_answer_gives_it_back_and_so_does_a_refusal(
    configure: Configure, serve: Callable[[Config], RemoteVault], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(service, "give_back_freed_memory", lambda: calls.append("given back"))
    config = configure()
    vault = serve(config)
    request = server_of(config, [Description("00000", 48, (1, 8, 8), 4)]).embed_request()
    vault.embed(request)
    assert len(calls) == 1
    with pytest.raises(Refusal):
        serve(configure("federation.local_steps=9")).embed(request)
    assert len(calls) == 2
