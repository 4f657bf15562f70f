"""What the two Flower apps do when they are started by `flwr run` on a simulation.

The run configuration is the configuration's keys, flat, and `output`, the run folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flwr.app import Context
from flwr.serverapp import Grid

from fedgan.config import Config, config_from_flat, to_toml
from fedgan.errors import UsageError
from fedgan.federation.exchange import wait_for_nodes
from fedgan.federation.reports import RoundReport
from fedgan.federation.server import Server
from fedgan.federation.simulation import check, ledgers_of, run_server
from fedgan.federation.sites import sites_of_process
from fedgan.federation.vault import Vault
from fedgan.runs import RunFolder


def serve(grid: Grid, run_config: Mapping[str, Any]) -> None:
    """Run a new federation over `grid`, with one client for each of its nodes.

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
    run_server(grid, config, folder, ledgers, resume=False, observer=_Silent())


def simulated_vault(context: Context) -> Vault:
    """Return the vault of a simulated node, whose partition Flower names."""
    config, folder = _read(context.run_config)
    sites = sites_of_process(config, ledgers_of(config, folder).absolute())
    return sites.vault(int(context.node_config["partition-id"]))


def _read(run_config: Mapping[str, Any]) -> tuple[Config, RunFolder]:
    flat = dict(run_config)
    output = str(flat.pop("output", ""))
    if not output:
        raise UsageError("output: give the run folder, for example --run-config 'output=\"runs/first\"'")
    return config_from_flat(flat), RunFolder(Path(output).expanduser().absolute())


class _Silent:
    """Flower shows its own log; nothing is drawn."""

    def warm_start_step(self, step: int, steps: int) -> None: ...

    def after_round(self, server: Server, report: RoundReport, seconds: float) -> None: ...
