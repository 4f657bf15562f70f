"""The app in front of a vault answers for it, and passes on no exception's words."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict

from fedgan.federation.exchange import exchange, messages_for
from fedgan.federation.grid import InProcessGrid
from fedgan.federation.records import from_records, refusal_code, to_records
from fedgan.federation.relay import DESCRIBE, EMBED, TRAIN, client_app
from fedgan.federation.requests import Description, EmbedRequest, Refusal, Release, TrainRequest
from fedgan.federation.vault import Vault

pytestmark = pytest.mark.privacy

MakeVault = Callable[..., Vault]

SECRET = "patient Jane 4711"
EMBED_REQUEST = EmbedRequest("run-1", 8, 1)


def ask(vault: Any, kind: str, content: RecordDict) -> Message:
    grid = InProcessGrid(client_app(lambda context: vault), 1)
    node = next(iter(grid.get_node_ids()))
    return next(iter(grid.send_and_receive(messages_for({node: content}, kind, "0"))))


def every_byte(reply: Message) -> bytes:
    """Return all that a reply holds: its error, names, scalars and arrays."""
    parts = [repr(reply.metadata.__dict__)]
    if reply.has_error():
        parts.append(repr(reply.error.__dict__))
        return "".join(parts).encode()
    data = b""
    for name, record in reply.content.items():
        parts.append(name)
        parts.append(repr(dict(record) if isinstance(record, ConfigRecord) else ""))
        if isinstance(record, ArrayRecord):
            data += b"".join(key.encode() + array.data for key, array in record.items())
    return "".join(parts).encode() + data


class Broken:
    """A vault that fails with a private value in its words."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def describe(self) -> Description:
        raise self._error

    def embed(self, request: EmbedRequest) -> Release:
        raise self._error

    def train(self, request: TrainRequest) -> Release:
        raise self._error


@pytest.mark.parametrize("kind", [DESCRIBE, EMBED, TRAIN])
@pytest.mark.parametrize("error", [ValueError(SECRET), OSError(5, SECRET), AssertionError(SECRET), KeyError(SECRET)])
def test_no_exceptions_text_leaves(
    kind: str, error: Exception, request_of: Callable[..., TrainRequest], caplog: pytest.LogCaptureFixture
) -> None:
    payload = {DESCRIBE: RecordDict(), EMBED: to_records(EMBED_REQUEST), TRAIN: to_records(request_of())}[kind]
    with caplog.at_level(logging.ERROR):
        reply = ask(Broken(error), kind, payload)
    assert refusal_code(reply.content) == Refusal.FAILED
    assert SECRET.encode() not in every_byte(reply)
    assert SECRET in caplog.text  # the site's own log says what went wrong


def test_the_search_for_secrets_finds_them() -> None:
    vault = Broken(Refusal(SECRET))
    assert SECRET.encode() in every_byte(ask(vault, DESCRIBE, RecordDict()))


@pytest.mark.parametrize("kind", [EMBED, TRAIN])
def test_an_unreadable_request_is_refused(make_vault: MakeVault, ledger: Path, kind: str) -> None:
    reply = ask(make_vault(), kind, RecordDict({"fields": ConfigRecord({"run": 3})}))
    assert refusal_code(reply.content) == Refusal.BAD_REQUEST
    assert not ledger.exists()


def test_the_app_answers_for_its_vault(make_vault: MakeVault, request_of: Callable[..., TrainRequest]) -> None:
    vault = make_vault()
    assert from_records(Description, ask(vault, DESCRIBE, RecordDict()).content) == vault.describe()
    embedding = from_records(Release, ask(vault, EMBED, to_records(EMBED_REQUEST)).content)
    assert embedding.arrays["embedding"].shape == (4, 9)
    release = from_records(Release, ask(vault, TRAIN, to_records(request_of())).content)
    assert (release.client, release.round, release.generator_steps) == ("00000", 1, 2)


def test_a_spent_budget_is_told_by_its_code(make_vault: MakeVault, request_of: Callable[..., TrainRequest]) -> None:
    vault = make_vault(participations=1, warm_start_share=0.0)
    grid = InProcessGrid(client_app(lambda context: vault), 1)
    node = next(iter(grid.get_node_ids()))
    for number, refused in enumerate(({}, {node: Refusal.BUDGET_SPENT})):
        sent = messages_for({node: to_records(request_of(round=number))}, TRAIN, "1")
        assert exchange(grid, sent, Release, None).refused == refused
