"""A large model on separate machines' processes: whether it gets through, in how many bytes, and with what memory.

    python -m simulations.benchmarks.large_model [--width 4000] [--clients 3] [--level none]

One round of `fedgan` on the digits, with networks of about 6 width^2 bytes (100 MB at the default width), over the real
commands on the loopback address: `fedgan provision`, `fedgan server` with SuperLink and server app, and for each client
`fedgan client` with vault, SuperNode and client app. Prints the bytes of arrays and scalars each way and client, their
ratio to those without compression, the seconds of the round, and the peak resident memory of the largest process of
each role; then one line of JSON. With "int8" the bytes should shrink by 3.9 or more.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from fedgan.config import Config, load_config
from simulations.benchmarks._deployment import Deployment, deployed


def config_of(arguments: argparse.Namespace, compression: str) -> Config:
    """Return the run: one round of one small step, so that what is measured is the way of the networks."""
    settings = {
        "device": "cpu",
        "threads": 1,
        "partition.clients": arguments.clients,
        "partition.scheme": "iid",
        "model.name": "mlp",
        "model.width": arguments.width,
        "training.warm_start": "none",
        "training.batch_size": 16,
        "training.generator_batch_size": 16,
        "federation.rounds": 1,
        "federation.local_steps": 1,
        "federation.compression": compression,
        "privacy.level": arguments.level,
        "privacy.delta": 1e-4,
    }
    return load_config(None, [f"{key}={value}" for key, value in settings.items()])


def measure(config: Config, seconds: float) -> dict[str, Any]:
    """Run `config` and return bytes, seconds and peaks in MiB."""
    found: dict[str, Any] = {}

    def take(deployment: Deployment) -> None:
        (row,) = [json.loads(line) for line in (deployment.run / "metrics.jsonl").read_text().splitlines()]
        if row["refused"]:
            raise RuntimeError(f"the round went on without some clients: {row['refused']}")
        found.update({key: row[key] for key in ("bytes_down", "bytes_up", "seconds")}, peak_mib=deployment.peaks)

    with TemporaryDirectory(prefix="large-") as name:
        begun = perf_counter()
        deployed(Path(name), config, seconds, take)
        found["seconds_in_all"] = round(perf_counter() - begun, 1)
    return found


def main() -> None:
    """Run every compression and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=4000)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--level", choices=["none", "record"], default="none")
    parser.add_argument("--compression", nargs="+", default=["none", "float16", "int8"])
    parser.add_argument("--timeout", type=float, default=1800, help="seconds for one run")
    arguments = parser.parse_args()
    results = {}
    for compression in arguments.compression:
        results[compression] = found = measure(config_of(arguments, compression), arguments.timeout)
        both = found["bytes_down"] + found["bytes_up"]
        plain = results.get("none")
        found["ratio"] = round((plain["bytes_down"] + plain["bytes_up"]) / both, 3) if plain else None
        print(
            f"{compression:8s} down {found['bytes_down'] / 1e6:.2f} MB, up {found['bytes_up'] / 1e6:.2f} MB a client, "
            f"ratio {found['ratio'] or '-'}; round {found['seconds']:.1f} s, in all {found['seconds_in_all']:.0f} s",
            flush=True,
        )
        print(
            "         peak MiB: " + ", ".join(f"{role} {peak:.0f}" for role, peak in sorted(found["peak_mib"].items()))
        )
    facts = {"width": arguments.width, "clients": arguments.clients, "level": arguments.level}
    print(json.dumps({"benchmark": "large_model", "python": platform.python_version(), **facts, "results": results}))


if __name__ == "__main__":
    main()
