"""A federation of real processes on the loopback address, set up and run by the commands that operators use."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

import misbehaving
import pytest
from misbehaving import FAULTS, HOLDS

from fedgan.cli.app import main
from fedgan.config import Config, load_config, to_toml

PROGRAM = "from fedgan.cli import main; main()"
TINY = (
    "threads=1",
    "device='cpu'",
    "partition.scheme='iid'",
    "model.width=16",
    "model.latent_dim=8",
    "training.batch_size=16",
    "training.generator_batch_size=16",
    "training.warm_start_features=20",
    "training.warm_start_steps=5",
    "training.warm_start_batch_size=20",
    "federation.local_steps=2",
    "privacy.accountant='rdp'",
    "privacy.delta=1e-4",
)
Start = Callable[..., "Federation"]


def tiny(*overrides: str) -> Config:
    return load_config(None, [*TINY, *overrides])


def free_ports(count: int) -> list[int]:
    """Return ports on the loopback address that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_until(done: Callable[[], Any], seconds: float, what: str) -> Any:
    """Return what `done` returns once it is true."""
    deadline = monotonic() + seconds
    while monotonic() < deadline:
        if found := done():
            return found
        sleep(0.1)
    pytest.fail(f"waited {seconds:g} s for {what}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let federations that may take longest begin first, so that several workers end at about the same time."""

    def patience(item: pytest.Item) -> float:
        timeout = item.get_closest_marker("timeout") if item.get_closest_marker("deployed") else None
        return -float(timeout.args[0]) if timeout else 0.0

    items.sort(key=patience)


class Federation:
    """One federation in `root`; every process that it starts is ended by `close`."""

    def __init__(self, root: Path, config: Config) -> None:
        self.root = root
        self.config = config
        self.run = root / "run"
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._environment.pop("FLWR_HOME", None)
        helpers = str(Path(__file__).parent)  # where the app of `misbehaving.py` finds it
        self._environment["PYTHONPATH"] = os.pathsep.join([os.environ.get("PYTHONPATH", ""), helpers])
        (root / "run.toml").write_text(to_toml(config))
        control, *self.ports = free_ports(2 + config.partition.clients)
        clients = config.partition.clients
        with pytest.raises(SystemExit) as end:  # here and not in a process of its own: it starts in no time
            main(["provision", str(root), "--clients", str(clients), "--demo", str(root / "run.toml")])
        assert end.value.code == 0
        self.set("server/server.toml", "port", str(self.ports[0]))
        self.set("server/server.toml", "control_port", str(control))
        for index in range(clients):
            self.set(f"client-{index:05d}/client.toml", "port", str(self.ports[1 + index]))
            self.set(f"client-{index:05d}/client.toml", "address", f'"127.0.0.1:{self.ports[0]}"')

    def set(self, file: str, key: str, value: str) -> None:
        """Change the value of `key` in a file of the federation."""
        path = self.root / file
        text, count = re.subn(rf"(?m)^{key} = [^#\n]*", f"{key} = {value}  ", path.read_text())
        assert count == 1, f"{key} stands {count} times in {path}"
        path.write_text(text)

    def fedgan(self, *arguments: str, code: int = 0, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr + self.words()
        return done

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command; what it says goes to `name`.log."""
        return self.run_program(name, [sys.executable, "-c", PROGRAM, *arguments])

    def run_program(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a program; what it says goes to `name`.log."""
        with (self.root / f"{name}.log").open("ab") as log:
            self._started[name] = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        return self._started[name]

    def misbehave(self, index: int, faults: Mapping[int, str]) -> None:
        """Let the vault of a site do in a round what `misbehaving.py` calls so, from its next start on."""
        (self.root / f"client-{index:05d}" / FAULTS).write_text(json.dumps(dict(faults)))

    def hold_server(self, names: Sequence[str]) -> None:
        """Let the server's app wait where `misbehaving.py` calls the places so, from its next start on."""
        (self.root / HOLDS).write_text(json.dumps(list(names)))

    def start_client(self, index: int, folder: str | None = None) -> subprocess.Popen[bytes]:
        """Start a site, with the vault of `misbehaving.py` where it has faults."""
        where = self.root / (folder or f"client-{index:05d}")
        if (where / FAULTS).exists():
            return self.run_program(f"client-{index}", [sys.executable, misbehaving.__file__, "client", str(where)])
        return self.start(f"client-{index}", "client", str(self.root / (folder or f"client-{index:05d}")))

    def start_server(self, *arguments: str, name: str = "server") -> subprocess.Popen[bytes]:
        """Start the server on the run."""
        given = arguments or ("--config", str(self.root / "run.toml"))
        command = ["server", str(self.root / "server"), "--output", str(self.run), *given]
        if (self.root / HOLDS).exists():
            return self.run_program(name, [sys.executable, misbehaving.__file__, *command])
        return self.start(name, *command)

    def finish(self, name: str = "server", code: int = 0, timeout: float = 200) -> None:
        """Wait for a command to end as it should."""
        try:
            found = self._started[name].wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{name} did not end within {timeout:g} s: {self.words()}")
        assert found == code, self.words()

    def log(self, name: str) -> str:
        """Return what a command has said."""
        return (self.root / f"{name}.log").read_text()

    def wait_until(self, done: Callable[[], Any], seconds: float, what: str) -> Any:
        """Return what `done` returns once it is true."""
        try:
            return wait_until(done, seconds, what)
        except BaseException:
            print(self.words())
            raise

    def health(self, index: int) -> dict[str, Any]:
        """Return the health of a site."""
        path = self.root / f"client-{index:05d}" / "health.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def rows(self) -> int:
        """Return how many lines of metrics the run has."""
        path = self.run / "metrics.jsonl"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def words(self) -> str:
        """Return all logs, for a test that failed."""
        logs = sorted([*self.root.glob("*.log"), *self.root.glob("*/logs/*.log")])
        return "".join(f"\n--- {path}\n{path.read_text(errors='replace')[-3000:]}" for path in logs)

    def close(self) -> None:
        """End everything that was started, and fail if something is left."""
        for process in self._started.values():
            if process.poll() is None:
                process.terminate()
        for process in self._started.values():
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
        try:
            wait_until(lambda: not self.left_over(), 40, "processes to end")
        finally:
            for process in self.left_over():
                print("left over:", (Path("/proc") / str(process) / "cmdline").read_bytes())
                os.kill(process, signal.SIGKILL)

    def left_over(self) -> list[int]:
        """Return the processes whose command line or Flower home lies in this federation."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:  # it ended, or is somebody else's
                continue
            if str(self.root).encode() in words and state != "Z" and int(folder.name) != os.getpid():
                found.append(int(folder.name))
        return found


@pytest.fixture
def federation() -> Iterator[Start]:
    """Return what sets a federation up: of the configuration in a file, or else of a tiny one, with overrides."""
    made: list[Federation] = []
    with TemporaryDirectory(prefix="fed-") as name:  # a socket's path has to be short

        def begin(*overrides: str, file: Path | None = None) -> Federation:
            config = load_config(file, list(overrides)) if file else tiny(*overrides)
            made.append(Federation(Path(name), config))
            return made[-1]

        yield begin
        for one in made:
            one.close()
