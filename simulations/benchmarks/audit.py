"""Time and memory of auditing many ledgers.

    python -m simulations.benchmarks.audit                        # 1,000 clients with 1,000 charges each
    python -m simulations.benchmarks.audit --clients 5 --charges 20

Writes ledgers of clients that follow one of a few plans into a temporary folder, runs `fedgan audit budget` and
`fedgan audit verify` on it in processes of their own, and prints wall-clock seconds and the peak memory of each with
all of its workers (at most, as the peaks of workers are added up).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from fedgan.privacy.events import Gaussian, PoissonSampled, SelfComposed
from fedgan.privacy.ledger_line import FIRST, encode, seal

PLANS = 8
CALL = """
import os, resource, sys
sys.argv[1:] = ["audit", sys.argv[1], sys.argv[2], "--json"]
from fedgan.cli import main
try:
    main()
finally:
    own, workers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    seconds = own.ru_utime + own.ru_stime + workers.ru_utime + workers.ru_stime
    print(seconds, (own.ru_maxrss + os.cpu_count() * workers.ru_maxrss) / 1024, file=sys.stderr)
"""


def write_ledger(path: Path, client: int, charges: int) -> None:
    """Write the ledger of a client: an opening, a warm start and rounds."""
    noise = 2.0 + 0.1 * (client % PLANS)
    event = SelfComposed(20, PoissonSampled(0.25, Gaussian(noise * charges**0.5))).to_dict()
    owner = {"dataset": f"{client:064x}", "records": 300}
    previous, lines = FIRST, []
    for sequence in range(charges + 1):
        head = {"version": 1, "sequence": sequence, "time": f"2026-01-01T00:00:00.{sequence:06d}Z"}
        row = {**head, "client": f"{client:05d}"}
        if sequence == 0:
            row |= owner
        else:
            round_number = sequence - 1
            first = {"kind": "gaussian", "noise_multiplier": noise}
            std = noise if round_number == 0 else noise * charges**0.5
            row |= {"run": "20260101T000000Z-00000000", "round": round_number, **owner}
            row |= {"event": first if round_number == 0 else event, "clip": 1.0, "noise_std": std, "delta": 1e-5}
        sealed = seal(row | {"previous": previous})
        previous = sealed["hash"]
        lines.append(encode(sealed))
    path.write_bytes(b"".join(lines))


def measure(command: str, folder: Path) -> dict[str, float]:
    """Return wall-clock seconds, processor seconds and MiB of `fedgan audit COMMAND FOLDER`."""
    begun = perf_counter()
    call = [sys.executable, "-c", CALL, command, str(folder)]
    done = subprocess.run(call, check=True, capture_output=True, text=True)
    seconds = perf_counter() - begun
    used, peak = map(float, done.stderr.split()[-2:])
    return {"seconds": seconds, "processor_seconds": used, "peak_mib": peak}


def main() -> None:
    """Write the ledgers, audit them and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--charges", type=int, default=1000)
    arguments = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for client in range(arguments.clients):
            write_ledger(folder / f"client-{client:05d}.jsonl", client, arguments.charges)
        for command in ("budget", "verify"):
            figures[command] = measure(command, folder)
            text = ", ".join(f"{key} {value:.2f}" for key, value in figures[command].items())
            print(f"audit {command}, {arguments.clients} clients x {arguments.charges} charges: {text}", flush=True)
    print(json.dumps({"benchmark": "audit", "clients": arguments.clients, "charges": arguments.charges, **figures}))


if __name__ == "__main__":
    main()
