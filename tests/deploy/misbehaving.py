"""A site whose vault misbehaves as `faults.json` in its folder says, round by round; a program for tests alone.

    python misbehaving.py client FOLDER     `fedgan client FOLDER`, with this file's vault in place of its own
    python misbehaving.py vault FOLDER      that vault
    python misbehaving.py server FOLDER ... `fedgan server`, whose app waits where `holds.json` beside the run says so,
                                            and whose relay answers for a site as `faults.json` there says

What hangs or waits says so by a file, and goes on when the test removes it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np

FAULTS = "faults.json"
HOLDS = "holds.json"
SECRET = "patient-Jane-Doe-4711"
SENDS, REPEATS = "sends 1 GB", "sends a piece so often that it is 1 GB"
_HUGE = 2**28
"""Numbers of four bytes: 1 GiB."""


def held(folder: Path, name: str) -> Path:
    """Return the file that is there while the vault in `folder` waits at `name`."""
    return folder / f"held-{name}"


def hold(folder: Path, name: str) -> None:
    """Wait until somebody removes the file that says so."""
    held(folder, name).touch()
    while held(folder, name).exists():
        sleep(0.05)


def hold_once(folder: Path, name: str) -> None:
    """Wait like `hold`, the first time alone."""
    if not (mark := folder / f"was-{name}").exists():
        mark.touch()
        hold(folder, name)


def kill_relay(folder: Path) -> None:
    """End the process that asks, as `os._exit` in the app would."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            home = f"FLWR_HOME={folder / 'flower'}".encode() in (process / "environ").read_bytes()
        except OSError:
            continue
        if home and b"flwr-clientapp" in words:
            os.kill(int(process.name), signal.SIGKILL)


def filled(release: Any, value: float) -> Any:
    return replace(release, arrays={name: np.full_like(array, value) for name, array in release.arrays.items()})


def change(fault: str, folder: Path, release: Any, old: Any) -> Any:
    """Return what goes out in place of `release`."""
    if fault == "raises":
        raise RuntimeError(f"{SECRET} of {folder}")
    if fault == "exits":
        os._exit(1)
    if fault == "relay exits":
        kill_relay(folder)
    if fault == "hangs":
        hold(folder, "hangs")
    if fault == "nan":
        return filled(release, float("nan"))
    if fault == "1e30":
        return filled(release, 1e30)
    if fault == "shape":
        return replace(release, arrays={name: array[None] for name, array in release.arrays.items()})
    if fault == "1 GB":
        return replace(release, arrays={next(iter(release.arrays)): np.zeros(_HUGE, np.float32)})
    if fault == "old":
        return old
    if fault == "old under a new number":
        return replace(old, round=release.round, ledger=release.ledger)
    return release


def fault_in(folder: Path, number: int) -> str:
    """Return what the site in `folder` is to do in a round; "" for what it should."""
    path = folder / FAULTS
    return str(json.loads(path.read_text()).get(str(number), "")) if path.exists() else ""


def huge_records(records: Any, fault: str) -> Any:
    """Return a relay's answer with 1 GiB in place of its arrays, the same piece again and again or all of it random."""
    from flwr.app import Array, ArrayRecord, RecordDict

    rng = np.random.default_rng(0)
    huge = np.zeros(_HUGE, np.float32) if fault == REPEATS else rng.random(_HUGE, np.float32)
    data = huge.tobytes()
    array = Array("uint8", (len(data),), "bytes", data)
    return RecordDict({**records, "arrays": ArrayRecord(dict.fromkeys(records["arrays"], array))})


def vault(folder: Path) -> int:
    from fedgan.federation.daemon import __main__ as daemon
    from fedgan.federation.daemon.vaults import SiteVaults
    from fedgan.federation.vault import Vault

    class Misbehaving(SiteVaults):
        _old: Any = None

        def train(self, request: Any, asked: Any) -> Any:
            fault = fault_in(folder, request.round)
            if fault == "holds before the charge":
                hold_once(folder, f"before-{request.round}")
            release = super().train(request, asked)
            if fault == "holds before the reply":
                hold_once(folder, f"reply-{request.round}")
            old, self._old = self._old, release
            return change(fault, folder, release, old)

    charge = Vault._charge

    def charge_and_hold(self: Vault, event: Any, run: str, number: int, **facts: Any) -> str:
        head = charge(self, event, run, number, **facts)
        if fault_in(folder, number) == "holds after the charge":
            hold_once(folder, f"charged-{number}")
        return head

    Vault._charge = charge_and_hold  # type: ignore[method-assign]
    daemon.SiteVaults = Misbehaving  # type: ignore[misc]
    sys.argv = ["daemon", str(folder)]
    return daemon.main()


def client(folder: Path) -> None:
    from fedgan.cli import main
    from fedgan.federation.deploy import client as site
    from fedgan.federation.deploy.processes import Child

    def start_vault(where: Any) -> Child:
        where.socket.unlink(missing_ok=True)
        command = [sys.executable, __file__, "vault", str(folder)]
        return Child("vault", command, where.logs / "vault.log", os.environ)

    site._start_vault = start_vault
    sys.argv = ["fedgan", "client", str(folder)]
    main()


HOLDING_APP = """
import json
from pathlib import Path

from fedgan.federation import checkpoint, run
from misbehaving import HOLDS, hold_once

_write, _after = checkpoint.write_text, run._Recorder.after_round


def _wanted(folder, name):
    path = folder / HOLDS
    return path.exists() and name in json.loads(path.read_text())


def _write_and_hold(path, text):
    root, name = path.parents[2], f"checkpoint-{path.stem}"
    if _wanted(root, name):
        hold_once(root, name)
    _write(path, text)


def _after_and_hold(self, server, report, seconds):
    _after(self, server, report, seconds)
    root, name = self._folder.path.parent, f"between-{report.round}"
    if _wanted(root, name):
        hold_once(root, name)


checkpoint.write_text, run._Recorder.after_round = _write_and_hold, _after_and_hold
"""


HOSTILE_RELAY = """
from pathlib import Path

from fedgan.federation import relay
from misbehaving import REPEATS, SENDS, fault_in, huge_records

_train = relay._train


def _train_and_misbehave(vault, request):
    records = _train(vault, request)
    folder = Path(vault._socket).parents[1]
    fault = fault_in(folder, request.round)
    return huge_records(records, fault) if fault in (SENDS, REPEATS) else records


relay._train = _train_and_misbehave
"""


def server() -> None:
    from fedgan.cli import main
    from fedgan.federation.deploy import bundle

    bundle.SERVER_APP += HOLDING_APP
    bundle.CLIENT_APP += HOSTILE_RELAY
    main()


if __name__ == "__main__":
    if sys.argv[1] == "server":
        server()
    elif sys.argv[1] == "client":
        client(Path(sys.argv[2]))
    else:
        sys.exit(vault(Path(sys.argv[2])))
