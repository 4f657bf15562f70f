"""One process writes a run, and an orphan writes none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest

from fedgan.errors import FedganError
from fedgan.federation.sole import only_writer


def test_a_second_writer_is_refused_after_a_while(tmp_path: Path) -> None:
    with only_writer(tmp_path, 0.0):
        begun = monotonic()
        with pytest.raises(FedganError, match="another server writes this run"), only_writer(tmp_path, 0.6):
            pass
        assert 0.6 <= monotonic() - begun < 10
    with only_writer(tmp_path, 0.0):
        pass


def test_a_writer_that_is_killed_leaves_no_lock(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from fedgan.federation.sole import only_writer\n"
        "with only_writer(Path(sys.argv[1]), 0.0): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "held\n"
    with pytest.raises(FedganError), only_writer(tmp_path, 0.0):
        pass
    writer.kill()
    writer.communicate()
    with only_writer(tmp_path, 5.0):
        pass


def test_an_orphan_ends(tmp_path: Path) -> None:
    child = (
        "import time; from fedgan.federation.sole import end_with_parent; end_with_parent(); "
        "print('up', flush=True); time.sleep(60)"
    )
    parent = (
        "import subprocess, sys, time; "
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE, text=True); "
        "child.stdout.readline(); print(child.pid, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    orphan = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = monotonic() + 20
    while monotonic() < deadline:
        try:
            os.kill(orphan, 0)
            if "Z" in Path(f"/proc/{orphan}/stat").read_text().rpartition(")")[2].split()[0]:
                return
        except OSError:
            return
        sleep(0.05)
    pytest.fail("the orphan goes on")
