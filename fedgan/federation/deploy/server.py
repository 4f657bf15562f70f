"""The server's side of a federation on separate machines: SuperLink, door, keys, and one run until it ends."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic, sleep
from types import FrameType
from typing import Any

from fedgan.config import Config, to_toml
from fedgan.errors import FedganError, UsageError, bad_value
from fedgan.federation.deploy.bundle import write_bundle
from fedgan.federation.deploy.certificates import expires
from fedgan.federation.deploy.gate import Gate
from fedgan.federation.deploy.nodes import update_nodes
from fedgan.federation.deploy.processes import Child
from fedgan.federation.deploy.server_folder import ServerFolder, ServerSettings, load_server
from fedgan.federation.deploy.superlink import run_flower_app, run_status, run_words, start_superlink, stop_run
from fedgan.federation.outcome import Ending, take_outcome
from fedgan.runs import RunFolder

_LOGGER = logging.getLogger(__name__)
_GRACE_S = 15.0
_LOOK_S = 0.5
_ASK_S = 30.0

OnRow = Callable[[dict[str, Any]], None]


def run_federation(
    folder: ServerFolder, config: Config, run: RunFolder, *, resume: bool, say: Callable[[str], None], on_row: OnRow
) -> str:
    """Run `config` over the sites of `folder`, or go on with the run in `run`; return why it stopped early, or "".

    Args:
        folder: the server's folder.
        run: the run folder, which a new run makes once all that can be checked is checked.
        resume: whether to go on with the run that is there.
        say: is told what is being waited for.
        on_row: is given each line of metrics as it is written.

    Raises:
        FedganError: the run failed; its exit code is the error's.
    """
    settings = load_server(folder)
    keys = folder.public_keys()
    if len(keys) != config.partition.clients:
        raise UsageError(
            f"partition.clients = {config.partition.clients} but {folder.nodes} holds the keys of {len(keys)} sites",
            "partition.clients",
        )
    check_for_sites(config, resume=resume, say=say)
    if (last_day := expires(folder.certificate.read_bytes())) < datetime.now(UTC):
        raise UsageError(f"{folder.certificate} expired on {last_day:%Y-%m-%d}; `fedgan provision` renews it")
    with _only_server(folder), _ended_by_signals():
        if not resume:
            run.create(to_toml(config))
        gate = Gate(folder, settings)
        say("starting the SuperLink")
        link = start_superlink(folder, settings)
        try:
            update_nodes(folder)
            gate.open()
            try:
                return _run(folder, settings, config, run, link, resume=resume, say=say, on_row=on_row)
            finally:
                gate.close()
        finally:
            link.stop(_GRACE_S)


def check_for_sites(config: Config, *, resume: bool, say: Callable[[str], None]) -> None:
    """Refuse what has a meaning in simulations alone; a run that was begun with room for an evaluation goes on with it.

    Raises:
        UsageError: a key of `config` is not accepted.
    """
    if config.federation.absence:
        raise bad_value("federation.absence", config.federation.absence, "0: real clients are absent when they are")
    if config.privacy.level == "none" or not (room := config.privacy.evaluation_epsilon):
        return
    if not resume:
        accepted = (
            "0: records at sites answer no `fedgan evaluate --private-reads`, so nobody could spend it and training "
            "would have more noise for nothing"
        )
        raise bad_value("privacy.evaluation_epsilon", room, accepted)
    say(f"warning: privacy.evaluation_epsilon = {room:g} stays unspent: records at sites answer no private reads")


def _run(
    folder: ServerFolder,
    settings: ServerSettings,
    config: Config,
    run: RunFolder,
    link: Child,
    *,
    resume: bool,
    say: Callable[[str], None],
    on_row: OnRow,
) -> str:
    registered = json.loads(folder.registered.read_text(encoding="utf-8"))
    keys: dict[str, str | float] = {
        "output": str(run.path.absolute()),
        "mode": "resume" if resume else "new",
        "patience": settings.patience,
        "nodes": json.dumps(registered),
        "log": str(folder.run_log.absolute()),
    }
    take_outcome(run)
    identifier = run_flower_app(folder, write_bundle(folder.flower / "app", config, keys))
    say(f"run {identifier}: waiting for {len(registered)} sites at {settings.host}:{settings.port}")
    try:
        ending = _follow(folder, run, link, identifier, on_row)
    except BaseException:
        _stop_quietly(folder, identifier)
        raise
    if ending.code:
        error = FedganError(ending.words)
        error.exit_code = ending.code
        raise error
    return ending.words


def _follow(folder: ServerFolder, run: RunFolder, link: Child, identifier: str, on_row: OnRow) -> Ending:
    """Return how the run ended; passes each new line of metrics on."""
    rows = _new_rows(run)
    asked = monotonic()
    while True:
        for row in next(rows):
            on_row(row)
        if ending := take_outcome(run):
            for row in next(rows):
                on_row(row)
            return ending
        if link.code() is not None:
            raise FedganError(f"the SuperLink ended; see {link.log}; go on with --resume")
        if monotonic() - asked > _ASK_S:
            asked = monotonic()
            try:
                status = run_status(folder, identifier)
            except FedganError:
                if link.code() is None:
                    raise
                continue  # it has just ended, which is said above
            if status.startswith("finished") and not (ending := take_outcome(run)):
                log = folder.run_log
                with log.open("a", encoding="utf-8") as file:
                    file.write(run_words(folder, identifier))
                raise FedganError(f"the run is {status} and said no reason; see {log}; go on with --resume")
            if ending:
                return ending
        sleep(_LOOK_S)


def _new_rows(run: RunFolder) -> Iterator[list[dict[str, Any]]]:
    seen = len(run.read_metrics())
    while True:
        rows = run.read_metrics()
        seen = min(seen, len(rows))  # a resumed run drops rounds that it repeats
        yield rows[seen:]
        seen = len(rows)


def _stop_quietly(folder: ServerFolder, identifier: str) -> None:
    try:
        stop_run(folder, identifier)
    except FedganError as error:
        _LOGGER.debug("run %s: %s", identifier, error)


@contextmanager
def _only_server(folder: ServerFolder) -> Iterator[None]:
    """Hold the folder's lock; raises UsageError where another server runs."""
    descriptor = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UsageError(f"{folder.path}: another `fedgan server` runs from this folder") from None
    finally:
        os.close(descriptor)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM end the program as Ctrl-C does, so that everything we started is stopped."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
