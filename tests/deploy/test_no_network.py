"""A federation on one machine needs no network but that machine's own: nothing phones home, nothing is downloaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
ALONE = """
import errno, fcntl, os, socket, struct, sys

SIOCSIFFLAGS, UP_AND_RUNNING = 0x8914, 0x1 | 0x40
any_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", UP_AND_RUNNING))
assert socket.socket().connect_ex(("192.0.2.1", 443)) == errno.ENETUNREACH, "this namespace has a way out"
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


TEST = "tests/deploy/test_federation.py::test_without_privacy_the_generator_is_that_of_the_simulation"


def python(*command: str, alone: bool) -> subprocess.CompletedProcess[str]:
    """Run Python, `alone` with nothing but a loopback device; a namespace of its own user needs no rights."""
    inside = ["unshare", "--map-root-user", "--net", sys.executable, "-c", ALONE] if alone else [sys.executable]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([*inside, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def missing() -> str:
    """Return why there can be no namespace; "" where there can."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return "network namespaces are Linux' own, and need unshare(1)"
    done = python("-c", "pass", alone=True)
    if done.returncode == 0:
        return ""
    return f"this kernel gives a user no network namespace: {done.stderr.strip().splitlines()[-1]}"


@pytest.mark.parametrize("settings", [pytest.param("fedgan", marks=pytest.mark.deployed), "images_and_int8"])
def test_a_federation_without_a_route_to_anywhere_makes_the_generator_of_the_simulation(settings: str) -> None:
    """Where there is no namespace it runs all the same, and is skipped if it passes."""
    reason = missing()
    done = python("-m", "pytest", "-m", "slow", "-p", "no:cacheprovider", f"{TEST}[{settings}]", alone=not reason)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    if reason:
        pytest.skip(f"it passes with a network: {reason}")
