"""What a round costs on separate machines beside a round of an app that only sends its arrays back.

    python -m simulations.benchmarks.deployed_round [--config configs/digits.toml] [--clients 3] [--rounds 10]

One federation of real processes on the loopback address (SuperLink, TLS, node keys, vaults), set up and run by
`fedgan provision`, `fedgan client` and `fedgan server`. In its one run, rounds of fedgan and rounds of an echo take
turns on the same SuperLink and SuperNodes, with the same arrays: echo, fedgan, echo, fedgan ... The echo's handler
imports nothing of fedgan. A round of fedgan is all there is to it: messages, checks, ledgers, training, averaging,
checkpoint, metrics. The first pair, which warms up, is left out. Prints the medians and their ratio, which should be at
most 1.25, and one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from flwr.serverapp import Grid

from fedgan.config import Config, load_config, to_toml
from fedgan.federation.exchange import collect, messages_for
from fedgan.federation.records import to_records
from fedgan.federation.reports import RoundReport
from fedgan.federation.server import Server
from fedgan.runs import RunFolder

_ECHO_FILE = "echo.jsonl"
SERVER_APP = '''"""fedgan's server app, with a round of echoes after each round."""

from flwr.serverapp import ServerApp

from fedgan.federation.apps import serve_sites
from simulations.benchmarks.deployed_round import Echo

app = ServerApp()


@app.main()
def main(grid, context):
    serve_sites(grid, context.run_config, lambda config, folder: Echo(grid, folder))
'''
CLIENT_APP = '''"""fedgan's client app, imported where it is asked, and an echo, which needs nothing of it."""

from flwr.app import Message
from flwr.clientapp import ClientApp

app = ClientApp()


def relay(message, context):
    from fedgan.federation.node import vault_of
    from fedgan.federation.relay import client_app

    return client_app(vault_of)(message, context)


@app.train("echo")
def echo(message, context):
    return Message(message.content, reply_to=message)


app.query()(relay)
app.train()(relay)
app.train("embed")(relay)
'''


class Echo:
    """Is told when a round is done, and has the same arrays sent there and back once."""

    def __init__(self, grid: Grid, folder: RunFolder) -> None:
        self._grid = grid
        self._file = folder.path.parent / _ECHO_FILE
        self._since = monotonic()

    def warm_start_step(self, step: int, steps: int) -> None:
        """Do nothing."""

    def after_round(self, server: Server, report: RoundReport, seconds: float) -> None:
        """Note how long the round took since the last echo, and then how long an echo takes."""
        begun = monotonic()
        content = to_records(server.train_request())
        messages = messages_for(dict.fromkeys(self._grid.get_node_ids(), content), "train.echo", "echo")
        answers = sum(reply.has_content() for reply in collect(self._grid, messages, None, {}))
        row = {"round": report.round, "fedgan": begun - self._since, "echo": monotonic() - begun, "echoes": answers}
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self._since = monotonic()


def serve() -> None:
    """Be `fedgan server`, with the apps above."""
    from fedgan.cli import main as fedgan
    from fedgan.federation.deploy import bundle

    bundle.SERVER_APP, bundle.CLIENT_APP = SERVER_APP, CLIENT_APP
    fedgan()


def measure(config: Config, folder: Path) -> list[dict[str, Any]]:
    """Return a row for each round of `config` over a federation set up in `folder`."""
    file = folder / "run.toml"
    file.write_text(to_toml(config))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])}
    fedgan = [sys.executable, "-c", "from fedgan.cli import main; main()"]
    sites = [folder / f"client-{index:05d}" for index in range(config.partition.clients)]
    given = ["--clients", str(len(sites)), "--port", str(_free_port()), "--demo", str(file)]
    subprocess.run([*fedgan, "provision", str(folder), *given], check=True, stdout=subprocess.DEVNULL, env=environment)
    log = (folder / "clients.log").open("w")
    clients = [
        subprocess.Popen([*fedgan, "client", str(site)], stdout=log, stderr=log, env=environment) for site in sites
    ]
    try:
        program = "from simulations.benchmarks.deployed_round import serve; serve()"
        command = [sys.executable, "-c", program, "server", str(folder / "server"), "--config", str(file)]
        subprocess.run([*command, "--output", str(folder / "run")], check=True, env=environment)
    finally:
        for client in clients:
            client.terminate()
        for client in clients:
            client.wait(60)
        log.close()
    return [json.loads(line) for line in (folder / _ECHO_FILE).read_text().splitlines()]


def _free_port() -> int:
    """Return a port that nobody listens on now, and not on the next one either."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            try:
                two.bind(("127.0.0.1", one.getsockname()[1] + 1))
            except (OSError, OverflowError):
                continue
            return int(one.getsockname()[1])


def main() -> None:
    """Run one federation and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/digits.toml"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    size = [f"partition.clients={arguments.clients}", f"federation.rounds={arguments.rounds + 1}"]
    size += ["training.warm_start_steps=20"]  # before the rounds, and not measured
    config = load_config(arguments.config, [*arguments.set, *size])
    with TemporaryDirectory(prefix="fed-") as folder:  # a socket's path has to be short
        rows = measure(config, Path(folder))
    rows = [row for row in rows if row["round"] > 1]
    if any(row["echoes"] != arguments.clients for row in rows):
        raise SystemExit("a client did not answer an echo: measure again")
    times = {name: [row[name] for row in rows] for name in ("fedgan", "echo")}
    ratio = median(a / b for a, b in zip(times["fedgan"], times["echo"], strict=True))
    print(f"{arguments.config}, {arguments.clients} clients, {len(rows)} pairs, {os.cpu_count()} cores")
    for name, seconds in times.items():
        print(f"  {name:<7} median {median(seconds):6.2f} s  (min {min(seconds):.2f}, max {max(seconds):.2f})")
    print(f"  fedgan / echo, median of pairs: {ratio:.3f}  (wanted: at most 1.25)")
    print(json.dumps({"benchmark": "deployed_round", "ratio": ratio, "pairs": times, "machine": platform.platform()}))


if __name__ == "__main__":
    main()
