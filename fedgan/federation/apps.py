"""What the two Flower apps do when `flwr run` or `fedgan server` starts them.

The run configuration is the configuration's keys, flat, and a few of the server's own: `output`, the run folder, and on
separate machines what `fedgan.federation.deploy` writes beside it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedgan.config import Config, config_from_flat, to_toml
from fedgan.errors import FedganError, UsageError
from fedgan.federation.exchange import wait_for_nodes
from fedgan.federation.ledger_copies import LedgerCopies
from fedgan.federation.machine import ready_to_train
from fedgan.federation.names import check_names
from fedgan.federation.node import SERVER_KEYS
from fedgan.federation.observers import Observer
from fedgan.federation.outcome import write_outcome
from fedgan.federation.run import Terms, run_server
from fedgan.federation.simulation import check, ledgers_of
from fedgan.federation.sites import sites_of_process
from fedgan.federation.sole import end_with_parent, only_writer
from fedgan.federation.vault import Vault
from fedgan.runs import RunFolder

ObserverOf = Callable[[Config, RunFolder], Observer]
SIMULATED, NEW, RESUMED = "simulation", "new", "resume"
"""Values of the server's own key `mode`."""


def server_app(observer_of: ObserverOf) -> ServerApp:
    """Return the server's Flower app; `observer_of` makes what is told how a run goes."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        if context.run_config.get("mode", SIMULATED) == SIMULATED:
            serve(grid, context.run_config, observer_of)
        else:
            serve_sites(grid, context.run_config, observer_of)

    return app


def serve(grid: Grid, run_config: Mapping[str, Any], observer_of: ObserverOf) -> None:
    """Run a new federation over `grid`, with one simulated client for each of its nodes.

    Raises:
        UsageError: the configuration is not accepted, or has another number of clients than the federation has nodes.
    """
    config, folder = _read(run_config)
    nodes = len(wait_for_nodes(grid, config.partition.clients))
    if nodes != config.partition.clients:
        raise UsageError(f"partition.clients = {config.partition.clients} but the federation has {nodes} nodes")
    ledgers = ledgers_of(config, folder).absolute()
    check(config, ledgers)
    RunFolder.unused(folder.path).create(to_toml(config))
    run_server(grid, config, folder, ledgers, resume=False, observer=observer_of(config, folder))


def serve_sites(grid: Grid, run_config: Mapping[str, Any], observer_of: ObserverOf) -> None:
    """Run, or go on with, a federation whose sites hold their own data; the run folder is there already.

    How it ended is written beside the run, since whoever started it sees neither exceptions nor exit codes of this
    process.
    """
    config, folder = _read(run_config)
    _log_to(Path(str(run_config["log"])))
    try:
        check_names(config)
        ready_to_train(config.threads)
        nodes = json.loads(run_config["nodes"])
        terms = Terms(
            patience=float(run_config["patience"]),
            names={int(node): str(client) for client, node in nodes.items()},
            copies=LedgerCopies(folder.ledgers),
        )
        observer, resume = observer_of(config, folder), run_config["mode"] == RESUMED
        end_with_parent()
        with only_writer(folder.path, terms.patience):
            stopped = run_server(grid, config, folder, folder.ledgers, resume=resume, observer=observer, terms=terms)
    except FedganError as error:
        write_outcome(folder, code=error.exit_code, words=str(error))
        raise
    except Exception as error:
        write_outcome(folder, code=FedganError.exit_code, words=f"{type(error).__name__}: {error}")
        raise
    write_outcome(folder, code=0, words=stopped)


def _log_to(path: Path) -> None:
    """Append what this program says of a run to `path`: Flower keeps the words of its processes in a database."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("fedgan")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)


def simulated_vault(context: Context) -> Vault:
    """Return the vault of a simulated node, whose partition Flower names."""
    config, folder = _read(context.run_config)
    sites = sites_of_process(config, ledgers_of(config, folder).absolute())
    return sites.vault(int(context.node_config["partition-id"]))


def _read(run_config: Mapping[str, Any]) -> tuple[Config, RunFolder]:
    flat = {key: value for key, value in run_config.items() if key not in SERVER_KEYS}
    output = str(run_config.get("output", ""))
    if not output:
        raise UsageError("output: give the run folder, for example --run-config 'output=\"runs/first\"'")
    return config_from_flat(flat), RunFolder(Path(output).expanduser().absolute())
