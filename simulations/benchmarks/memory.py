"""Memory of a simulation as the federation grows while the clients a round stay the same.

    python -m simulations.benchmarks.memory [--clients 10 100 1000]

Each size runs in a process of its own on made-up 8x8 images, 50 records a client and 10 clients a round, record level.
Prints the peak resident memory of each process and one line of JSON. It should grow with the records held in memory
(64 bytes each), not with the number of clients: a vault is made for a message and dropped after it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

RECORDS = 50
COHORT = 10


def run(clients: int) -> float:
    """Train with `clients` clients in this process and return its peak resident memory in MiB."""
    from fedgan.cli.app import main as fedgan

    with TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (clients * RECORDS, 8, 8), dtype=np.uint8)
        labels = np.arange(len(images)) % 10
        np.savez(
            folder / "data.npz",
            train_images=images,
            train_labels=labels,
            test_images=images[:100],
            test_labels=labels[:100],
        )
        settings = {
            "data.name": "npz",
            "data.root": folder / "data.npz",
            "partition.clients": clients,
            "partition.scheme": "iid",
            "federation.fraction": COHORT / clients,
            "federation.rounds": 3,
            "federation.local_steps": 3,
            "training.batch_size": 16,
            "training.warm_start_features": 600,
            "training.warm_start_steps": 20,
            "evaluation.count": 100,
        }
        options = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        try:
            fedgan(["simulate", *options, "--output", str(folder / "run"), "--quiet"])
        except SystemExit as finished:
            if finished.code:
                raise
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run every size in its own process and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(run(arguments.one))
        return
    peaks = {}
    for clients in arguments.clients:
        command = [sys.executable, "-m", "simulations.benchmarks.memory", "--one", str(clients)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        peaks[clients] = float(output.split()[-1])
        print(f"{clients:6d} clients, {COHORT} a round: peak {peaks[clients]:7.1f} MiB", flush=True)
    print(json.dumps({"benchmark": "memory", "cohort": COHORT, "peak_mib": peaks}))


if __name__ == "__main__":
    main()
