"""The command line, with a note of every private computation made before it begins; nothing else is changed.

Usage: observed_run.py LOG TEAR ARGUMENT...

LOG gets a line "CLIENT ROUND" for each mechanism, from what reads the records: the ledger has no part in it. TEAR is
"no", or "N:BYTES": at charge N, from 1, the process kills itself after that many bytes of the line.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from fedgan import files
from fedgan.cli import main
from fedgan.federation import vault
from fedgan.federation.vault import Vault
from fedgan.privacy import ledger

LOG = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
NOW = {"client": "", "round": 0}


def note() -> None:
    os.write(LOG, f"{NOW['client']} {NOW['round']}\n".encode())


def noted(work: Callable[..., Any]) -> Callable[..., Any]:
    """Return `work`, noted each time it is called."""
    return lambda *arguments: (note(), work(*arguments))[1]


def known(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Return the vault's `answer`; what it computes is noted for its client and round."""

    def call(self: Vault, request: Any) -> Any:
        NOW.update(client=self._client, round=getattr(request, "round", 0))
        return answer(self, request)

    return call


def tear(charge: int, length: int) -> None:
    """Kill this process when `length` bytes of charge number `charge` are written."""
    charges = []

    def write(descriptor: int, content: bytes) -> None:
        charges.append(content)
        files.write_all(descriptor, content[:length] if len(charges) == charge else content)
        if len(charges) == charge:
            os.kill(os.getpid(), signal.SIGKILL)

    ledger.write_all = write


vault.embed = noted(vault.embed)
Vault._drawn = noted(Vault._drawn)  # type: ignore[method-assign]
Vault.embed, Vault.train = known(Vault.embed), known(Vault.train)  # type: ignore[method-assign]
if sys.argv[2] != "no":
    tear(*map(int, sys.argv[2].split(":")))
main(sys.argv[3:])
