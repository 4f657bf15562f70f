"""A site that is not in order says so in one line; one that ends is started again, and says how it is."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

import pytest

from fedgan.errors import FedganError, UsageError
from fedgan.federation.daemon.site import SiteFolder
from fedgan.federation.deploy.client import is_well, run_client
from fedgan.federation.deploy.processes import Child
from fedgan.federation.deploy.provision import provision
from fedgan.federation.deploy.supervisor import Kept


@pytest.fixture
def site(tmp_path: Path) -> SiteFolder:
    return provision(tmp_path, clients=1)[0]


def test_a_site_without_data_ends_with_the_vaults_own_line(site: SiteFolder) -> None:
    with pytest.raises(FedganError, match=r"data\.root") as caught:
        run_client(site, print)
    assert caught.value.exit_code == 2
    assert not json.loads(site.health.read_text())["vault"]["running"]


def test_a_site_without_its_key_does_not_begin(site: SiteFolder) -> None:
    site.key.unlink()
    with pytest.raises(FedganError, match=r"node.key is missing"):
        run_client(site, print)


def test_a_mistake_in_its_file_is_told_before_anything_starts(site: SiteFolder) -> None:
    site.config.write_text(site.config.read_text().replace("epsilon = 10.0", "epsilon = 0.0"))
    with pytest.raises(UsageError, match=r"client.toml:\d+: policy.epsilon"):
        run_client(site, print)


@pytest.mark.parametrize(
    ("age", "vault", "node", "well"), [(0, True, True, True), (0, True, False, False), (60, True, True, False)]
)
def test_health_is_young_and_of_both(site: SiteFolder, age: float, vault: bool, node: bool, well: bool) -> None:
    time = (datetime.now(UTC) - timedelta(seconds=age)).isoformat()
    site.health.write_text(json.dumps({"time": time, "vault": {"running": vault}, "node": {"running": node}}))
    assert is_well(site) is well
    assert is_well(site, ["vault"]) is (age == 0)
    assert not is_well(site, ["node"])  # which has a file of its own


Starter = Callable[[], Child]


def starter(tmp_path: Path, program: str) -> Starter:
    return lambda: Child("child", [sys.executable, "-c", program], tmp_path / "child.log", {})


def look_until(kept: Kept, done: Callable[[], bool]) -> None:
    deadline = monotonic() + 20
    while not done():
        assert monotonic() < deadline
        kept.look()
        sleep(0.02)


def test_what_ends_is_started_again_after_a_growing_while(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept("child", starter(tmp_path, "print('no luck')"), (0.1, 0.6))
    begun = monotonic()
    look_until(kept, lambda: kept.restarts == 3)
    assert monotonic() - begun >= 0.7
    assert [record.getMessage() for record in caplog.records] == [
        f"the child ended (no luck); starting it again in {delay:g} s" for delay in (0.1, 0.6, 0.6)
    ]
    kept.stop(5)


def test_stopping_ends_a_process_that_does_not_listen(tmp_path: Path) -> None:
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    kept = Kept("child", starter(tmp_path, program), (1.0,))
    look_until(kept, lambda: kept.running and "up" in kept.child.words())  # type: ignore[union-attr]
    kept.stop(0.2)
    assert not kept.running


@pytest.mark.parametrize("ends_itself", [False, True])
def test_what_a_child_started_ends_with_it(tmp_path: Path, ends_itself: bool) -> None:
    program = (
        "import subprocess, sys, time; "
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True); "
        f"time.sleep({1 if ends_itself else 60})"
    )
    kept = Kept("child", starter(tmp_path, program), (60.0,))
    look_until(kept, lambda: kept.running and "\n" in kept.child.words())  # type: ignore[union-attr]
    other = int(kept.child.words())  # type: ignore[union-attr]
    if ends_itself:
        look_until(kept, lambda: not kept.running)
    else:
        kept.stop(5)
    deadline = monotonic() + 10
    while _runs(other) and monotonic() < deadline:
        sleep(0.05)
    assert not _runs(other)


def _runs(process: int) -> bool:
    """Return whether a process is there and not only waiting to be fetched."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    import os
    import signal
    import subprocess

    program = (
        "import sys, time; from pathlib import Path; from fedgan.federation.deploy.processes import Child; "
        "print(Child('c', [sys.executable, '-c', 'import time; time.sleep(60)'], Path(sys.argv[1]), {}).pid, "
        "flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    deadline = monotonic() + 10
    while monotonic() < deadline:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        if "Z" in Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]:
            return
        sleep(0.05)
    pytest.fail("the child outlived its parent")
