"""Child processes that end with us, whatever way we end, and whose words go to a file."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux' prctl(2)
_SETTINGS = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONUNBUFFERED": "1",
}


def flower_environment(home: Path) -> dict[str, str]:
    """Return this process' environment for a Flower program whose files lie in `home`, and who phones nobody."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, **_SETTINGS, "FLWR_HOME": str(home), "PATH": programs}


def program(name: str) -> str:
    """Return the path of a program that was installed beside this Python."""
    return str(Path(sys.executable).parent / name)


class Child:
    """A process that we started, and those that it started in its group.

    Args:
        name: for messages.
        command: program and arguments.
        log: its stdout and stderr are appended here.
        environment: all of it.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = log
        self._others_ended = False
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._begin = output.tell()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,  # Ctrl-C is for us, who then end them in order
                preexec_fn=_end_with_parent,
            )

    @property
    def pid(self) -> int:
        """Its process identifier."""
        return self._process.pid

    def code(self) -> int | None:
        """Return its exit code, or None while it runs; what it has started goes with it."""
        code = self._process.poll()
        if code is not None:
            self._end_others()
        return code

    def words(self) -> str:
        """Return what it has said so far, since it was started."""
        with self.log.open("rb") as file:
            file.seek(self._begin)
            return file.read().decode(errors="replace")

    def stop(self, grace: float) -> None:
        """End it: SIGTERM, and after `grace` seconds SIGKILL."""
        if self.code() is None:
            self._process.terminate()
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._end_others()

    def _end_others(self) -> None:
        """Kill what is left of its process group, once.

        A node of Flower's starts a process for each message, which outlives it while it tries to hand in an answer.
        """
        if not self._others_ended:
            self._others_ended = True  # later the group's number may be somebody else's
            with suppress(ProcessLookupError, PermissionError):  # nobody is left, or on some systems only the dead
                os.killpg(self.pid, signal.SIGKILL)


def _end_with_parent() -> None:
    """Ask Linux to end this child when its parent dies; elsewhere a killed parent leaves its children behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)
