"""A federation on one machine needs no network but that machine's own: nothing phones home, nothing is downloaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.deployed, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
ALONE = """
import errno, fcntl, os, socket, struct, sys

SIOCSIFFLAGS, UP_AND_RUNNING = 0x8914, 0x1 | 0x40
any_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", UP_AND_RUNNING))
assert socket.socket().connect_ex(("192.0.2.1", 443)) == errno.ENETUNREACH, "this namespace has a way out"
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def in_a_namespace(*command: str) -> subprocess.CompletedProcess[str]:
    """Run Python with nothing but a loopback device; a namespace of its own user needs no rights."""
    given = ["unshare", "--map-root-user", "--net", sys.executable, "-c", ALONE, *command]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(given, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_federation_runs_without_a_route_to_anywhere() -> None:
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("network namespaces are Linux' own, and need unshare(1)")
    if (done := in_a_namespace("-c", "pass")).returncode != 0:
        pytest.skip(f"this kernel gives a user no network namespace: {done.stderr.strip().splitlines()[-1]}")
    test = (
        "tests/deploy/test_federation.py::test_without_privacy_the_generator_is_that_of_the_simulation[images_and_int8]"
    )
    done = in_a_namespace("-m", "pytest", "-m", "slow", "-p", "no:cacheprovider", test)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
