"""Freed memory stays with a process that trains, without new page faults, and goes back when it is told to."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from fedgan.config import Config, flatten
from fedgan.federation import apps, heap, machine, simulation
from fedgan.federation.attack.run import watched_sites
from fedgan.federation.attack.sites import Canaries
from fedgan.federation.sites import sites_of_process

ROOT = Path(__file__).parents[2]
glibc = pytest.mark.skipif(
    sys.platform != "linux" or "CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="glibc alone keeps freed memory"
)
TAKES = 5
FAULTS = f"""
import resource, sys
from threading import Thread
from fedgan.federation.heap import keep_freed_memory

if "keep" in sys.argv:
    print(keep_freed_memory())

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def take():
    for size in (40, 80):
        b"x" * (size << 20)

def count():
    take()
    before = faults()
    for _ in range({TAKES}):
        take()
    print(faults() - before)

if "thread" in sys.argv:
    worker = Thread(target=count)
    worker.start()
    worker.join()
else:
    count()
"""
RESIDENT = """
from pathlib import Path
from fedgan.federation.heap import give_back_freed_memory, keep_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

print(keep_freed_memory(), resident())
first, last = b"x" * (200 << 20), b"x" * (1 << 20)
del first
print(resident())
give_back_freed_memory()
print(resident())
"""


def child(script: str, *arguments: str, **environment: str) -> list[str]:
    """Return the words that `script` says in a process whose malloc nobody but `environment` has set."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=clean | environment)
    return done.stdout.split()


@glibc
@pytest.mark.parametrize("thread", ["", "thread"])
def test_what_was_freed_is_taken_again_without_page_faults(thread: str) -> None:
    """Also by a vault's threads, and blocks of more than the 64 MiB that a thread's own heap would hold."""
    kept, count = child(FAULTS, "keep", thread)
    (left,) = child(FAULTS, thread)
    assert kept == "True"
    assert int(count) < 10 * TAKES
    assert int(left) > 50 * TAKES  # 60 in each turn even with pages of 2 MiB


@glibc
def test_what_was_kept_goes_back_when_it_is_told_to() -> None:
    kept, before, held, after = child(RESIDENT)
    assert kept == "True"
    assert int(held) - int(before) > 190
    assert int(after) - int(before) < 20


@glibc
@pytest.mark.parametrize("setting", [{"MALLOC_ARENA_TEST": "8"}, {"GLIBC_TUNABLES": "glibc.malloc.arena_test=8"}])
def test_the_environment_has_the_last_word(setting: dict[str, str]) -> None:
    kept, count = child(FAULTS, "keep", **setting)
    assert kept == "False"
    assert int(count) > 50 * TAKES


@pytest.mark.parametrize(("platform", "library"), [("darwin", None), ("linux", SimpleNamespace())])
def test_nothing_happens_without_glibc(
    platform: str, library: SimpleNamespace | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On macOS, which is not even asked for a library, and with musl, which has neither function."""
    for name in [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", {None: library}.pop if library else None)
    assert not heap.keep_freed_memory()
    monkeypatch.setattr(ctypes, "CDLL", {None: library}.pop if library else None)
    heap.give_back_freed_memory()


class BegunError(Exception):
    """Ends a process where its work would begin."""


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a list that grows when this process is told to keep what it frees."""
    calls: list[bool] = []
    monkeypatch.setattr(machine, "keep_freed_memory", lambda: calls.append(True))
    return calls


def test_a_simulation_keeps_freed_memory(
    kept: list[bool], tiny_config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "sites_of_process", begin)
    with pytest.raises(BegunError):
        simulation.check(tiny_config(), tmp_path)
    assert kept


def test_workers_of_an_engine_keep_freed_memory(
    kept: list[bool], tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    sites_of_process(tiny_config(), tmp_path)
    assert kept


def test_the_server_of_a_deployment_keeps_freed_memory(
    kept: list[bool], tiny_config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apps, "end_with_parent", begin)
    monkeypatch.setattr(apps, "write_outcome", lambda *arguments, **facts: None)
    own = {"output": str(tmp_path), "log": str(tmp_path / "log"), "mode": "new", "patience": 1.0, "nodes": "{}"}
    with pytest.raises(BegunError):
        apps.serve_sites(None, flatten(tiny_config().model_dump()) | own, lambda config, folder: None)  # type: ignore[arg-type, return-value]
    assert kept


def test_an_attack_keeps_freed_memory(kept: list[bool], tiny_config: Callable[..., Config], tmp_path: Path) -> None:
    watched_sites(tiny_config(), tmp_path, Canaries((), directions=1, images=0, members=0, seed=0))
    assert kept


def begin(*arguments: object, **settings: object) -> None:
    raise BegunError
