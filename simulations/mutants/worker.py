"""Runs tests on the sources beside it, each time in a fork of a process that has loaded the libraries already.

Importing torch and its kin takes longer than most tests. Only libraries are loaded beforehand, never the sources under
test. A request is a line of JSON on stdin, {"arguments": […], "output": path, "timeout": seconds}; the answer is a line
with pytest's exit code, or null where the time ran out.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest


def main(libraries: Sequence[str]) -> None:
    """Load `libraries`, then answer requests until stdin ends."""
    for name in libraries:
        import_module(name)
    gc.collect()
    gc.freeze()  # what is loaded lives on in every fork: looking through it takes longer than most tests
    try:
        for line in sys.stdin:
            request = json.loads(line)
            child = os.fork()
            if child == 0:
                _test(request["arguments"], Path(request["output"]))
            print(json.dumps(_wait(child, request["timeout"])), flush=True)
    finally:
        gc.unfreeze()  # or libraries complain of what they leave behind


def _test(arguments: Sequence[str], output: Path) -> None:
    """Run pytest, its words going to `output`, and end this process with its exit code."""
    code = int(pytest.ExitCode.INTERNAL_ERROR)
    try:
        os.setsid()  # so that what the tests start can be ended with them
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        words = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for stream in (1, 2):
            os.dup2(words, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        code = int(pytest.main([*arguments]))
    finally:
        sys.stdout.flush()
        os._exit(code)


def _wait(child: int, timeout: float) -> int | None:
    """Return the exit code of `child`, or None after `timeout` s; either way nothing that it started lives on."""
    deadline = time.monotonic() + timeout
    try:
        while time.monotonic() < deadline:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main(sys.argv[1:])
