"""Flower's SuperLink and its command line, on this machine's loopback address alone."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from fedgan.errors import FedganError
from fedgan.federation.deploy.processes import Child, flower_environment, program
from fedgan.federation.deploy.server_folder import ServerFolder, ServerSettings
from fedgan.files import write_text

_START_S = 120.0
_COMMAND_S = 180.0
_NAME = "fedgan"


def start_superlink(folder: ServerFolder, settings: ServerSettings) -> Child:
    """Start the SuperLink and return when it answers; raises FedganError if it does not."""
    write_text(
        folder.flower / "config.toml",
        f'[superlink]\ndefault = "{_NAME}"\n\n[superlink.{_NAME}]\naddress = "127.0.0.1:{settings.control_port}"\n'
        f"root-certificates = {json.dumps(str(folder.authority.absolute()))}\n",
    )
    command = [
        program("flower-superlink"),
        *("--ssl-ca-certfile", str(folder.authority)),
        *("--ssl-certfile", str(folder.certificate)),
        *("--ssl-keyfile", str(folder.key)),
        "--enable-supernode-auth",
        "--disable-runtime-dependency-installation",
        *("--host", "127.0.0.1"),
        *("--port", str(settings.control_port)),
        *("--database", str(folder.database)),
    ]
    child = Child("SuperLink", command, folder.logs / "superlink.log", flower_environment(folder.flower.absolute()))
    deadline = monotonic() + _START_S
    while not _answers(folder, settings.control_port):
        if child.code() is not None:
            raise FedganError(f"the SuperLink ended at once: {last_line(child.words())} (see {child.log})")
        if monotonic() > deadline:
            child.stop(5.0)
            raise FedganError(f"the SuperLink did not answer within {_START_S:g} s; see {child.log}")
        sleep(0.2)
    return child


def flwr(folder: ServerFolder, *arguments: str) -> dict[str, Any]:
    """Run Flower's command line against the SuperLink and return its JSON; raises FedganError with what it says."""
    done = subprocess.run(
        [program("flwr"), *arguments, "--format", "json"],
        env=flower_environment(folder.flower.absolute()),
        capture_output=True,
        text=True,
        timeout=_COMMAND_S,
        check=False,
    )
    begin = done.stdout.find("{")
    try:
        document = json.loads(done.stdout[begin:]) if begin >= 0 else {}
    except ValueError:
        document = {}
    if done.returncode != 0 or not isinstance(document, dict) or not document.get("success"):
        said = document.get("error-message") if isinstance(document, dict) else None
        raise FedganError(f"flwr {' '.join(arguments[:2])} failed: {said or last_line(done.stderr or done.stdout)}")
    return document


def run_flower_app(folder: ServerFolder, bundle: Path) -> str:
    """Submit the app in `bundle` and return the run's identifier."""
    return str(flwr(folder, "run", str(bundle), _NAME)["run-id"])


def run_status(folder: ServerFolder, run: str) -> str:
    """Return the status of a run, such as "running" or "finished:failed"."""
    runs = flwr(folder, "ls", _NAME, "--run-id", run)["runs"]
    return str(runs[0]["status"])


def run_words(folder: ServerFolder, run: str) -> str:
    """Return what the run's own process said, which Flower keeps in its database."""
    command = [program("flwr"), "log", run, _NAME, "--show"]
    environment = flower_environment(folder.flower.absolute())
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_COMMAND_S, check=False)
    return done.stdout + done.stderr


def stop_run(folder: ServerFolder, run: str) -> None:
    """Stop a run."""
    flwr(folder, "stop", run, _NAME)


def last_line(text: str) -> str:
    """Return the last line of `text` that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def _answers(folder: ServerFolder, port: int) -> bool:
    context = ssl.create_default_context(cafile=str(folder.authority))
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
