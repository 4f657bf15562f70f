"""A federation of real processes on the loopback address, as operators start them, and the memory of each."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

from fedgan.config import Config, to_toml

_PROGRAM = "from fedgan.cli import main; main()"
_LOOK_S = 0.1
_STOP_S = 60.0
_ROLES = {
    "vault": "fedgan.federation.daemon",
    "SuperNode": "flower-supernode",
    "client app": "flwr-clientapp",
    "SuperLink": "flower-superlink",
    "server app": "flwr-serverapp",
    "fedgan client": "\0client\0",
    "fedgan server": "\0server\0",
}


class Deployment:
    """A server and its sites in the folder `root`, provisioned for `config`; `close` ends all that was started.

    Args:
        root: an empty folder with a short path, since the vaults' sockets lie in it.
        config: the run; `partition.clients` sites are made and filled with their parts of its data.

    Attributes:
        peaks: peak resident memory in MiB by role, the largest process of each.
    """

    def __init__(self, root: Path, config: Config) -> None:
        self.root = root
        self.run = root / "run"
        self.peaks: dict[str, float] = {}
        self._clients = config.partition.clients
        self._processes: list[subprocess.Popen[bytes]] = []
        (root / "run.toml").write_text(to_toml(config))
        provision = ("provision", str(root), "--clients", str(self._clients), "--demo", str(root / "run.toml"))
        subprocess.run([sys.executable, "-c", _PROGRAM, *provision], check=True, stdout=subprocess.DEVNULL)
        port, control, *ports = _free_ports(2 + self._clients)
        _set(root / "server/server.toml", "port", str(port))
        _set(root / "server/server.toml", "control_port", str(control))
        for index in range(self._clients):
            site = root / f"client-{index:05d}" / "client.toml"
            _set(site, "port", str(ports[index]))
            _set(site, "address", f'"127.0.0.1:{port}"')

    def finish(self, seconds: float) -> None:
        """Run to the end; raises RuntimeError, with the last words of every log, where that takes over `seconds`."""
        for index in range(self._clients):
            self._start("client", str(self.root / f"client-{index:05d}"))
        config, output = str(self.root / "run.toml"), str(self.run)
        server = self._start("server", str(self.root / "server"), "--config", config, "--output", output)
        deadline = monotonic() + seconds
        while server.poll() is None:
            if monotonic() > deadline:
                raise RuntimeError(f"the run did not end within {seconds:g} s:{self._words()}")
            self._look()
            sleep(_LOOK_S)
        if server.returncode:
            raise RuntimeError(f"the server ended with {server.returncode}:{self._words()}")

    def close(self) -> None:
        """End the processes that were started here; their children end with them."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.root / f"{arguments[0]}.log").open("ab") as log:
            command = [sys.executable, "-c", _PROGRAM, *arguments]
            self._processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        return self._processes[-1]

    def _look(self) -> None:
        """Take in the peak of every process of this deployment, while it is there to be asked."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().decode(errors="replace")
                role = next((role for role, words in _ROLES.items() if words in command), None)
                if role and (str(self.root) in command or str(self.root).encode() in _read(folder / "environ")):
                    status = (folder / "status").read_text()
                    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
                    self.peaks[role] = max(peak, self.peaks.get(role, 0.0))
            except (OSError, IndexError):  # it has just ended
                continue

    def _words(self) -> str:
        logs = sorted([*self.root.glob("*.log"), *self.root.glob("*/logs/*.log")])
        return "".join(f"\n--- {path}\n{path.read_text(errors='replace')[-2000:]}" for path in logs)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except PermissionError:  # a vault's, which is closed even to its own user
        return b""


def _set(path: Path, key: str, value: str) -> None:
    path.write_text(re.sub(rf"(?m)^{key} = [^#\n]*", f"{key} = {value}  ", path.read_text()))


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports: list[int] = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def deployed(root: Path, config: Config, seconds: float, then: Callable[[Deployment], None]) -> None:
    """Run `config` in `root` to its end, show `then` what there is, and end everything."""
    deployment = Deployment(root, config)
    try:
        deployment.finish(seconds)
        then(deployment)
    finally:
        deployment.close()
