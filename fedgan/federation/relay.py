"""The client's Flower app: it turns messages into calls of a vault, and never sees a record."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from fedgan.errors import ClockError, FedganError
from fedgan.federation.records import from_records, refusal_records, to_records
from fedgan.federation.requests import Description, EmbedRequest, Refusal, Release, TrainRequest

_LOGGER = logging.getLogger(__name__)

Request = TypeVar("Request", EmbedRequest, TrainRequest)

DESCRIBE = "query"
EMBED = "train.embed"
TRAIN = "train"


class AnyVault(Protocol):
    """A vault in this process, or one behind a socket."""

    def describe(self) -> Description:
        """Return what is public about the party."""

    def embed(self, request: EmbedRequest) -> Release:
        """Return the warm start's release."""

    def train(self, request: TrainRequest) -> Release:
        """Return a round's release."""


def client_app(vault_of: Callable[[Context], AnyVault]) -> ClientApp:
    """Return the app whose node's vault is `vault_of(context)`.

    Whatever goes wrong, the server learns a code: exceptions may quote private values, so their text stays in this
    process' log.
    """
    app = ClientApp()

    @app.query()
    def describe(message: Message, context: Context) -> Message:
        return _answer(message, lambda: to_records(vault_of(context).describe()))

    @app.train("embed")
    def embed(message: Message, context: Context) -> Message:
        return _answer(message, lambda: _embed(vault_of(context), _read(EmbedRequest, message)))

    @app.train()
    def train(message: Message, context: Context) -> Message:
        return _answer(message, lambda: _train(vault_of(context), _read(TrainRequest, message)))

    return app


def _embed(vault: AnyVault, request: EmbedRequest) -> RecordDict:
    return to_records(vault.embed(request), request)


def _train(vault: AnyVault, request: TrainRequest) -> RecordDict:
    return to_records(vault.train(request), request)


def _read(kind: type[Request], message: Message) -> Request:
    try:
        return from_records(kind, message.content)
    except ValueError as error:
        _LOGGER.error("unreadable request: %s", error)
        raise Refusal(Refusal.BAD_REQUEST) from None


def _answer(message: Message, work: Callable[[], RecordDict]) -> Message:
    try:
        content = work()
    except Refusal as refusal:
        content = refusal_records(refusal.code)
    except FedganError as error:
        _LOGGER.error("the vault failed: %s", error)
        content = refusal_records(Refusal.CLOCK_BEHIND if isinstance(error, ClockError) else Refusal.FAILED)
    except Exception:
        _LOGGER.exception("the vault failed")
        content = refusal_records(Refusal.FAILED)
    return Message(content, reply_to=message)
