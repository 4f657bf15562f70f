"""Engines that carry a simulation's messages: in this process, or on Flower's Ray workers."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedgan.config import Config
from fedgan.errors import UsageError
from fedgan.federation.grid import InProcessGrid
from fedgan.federation.machine import use_threads
from fedgan.federation.relay import client_app
from fedgan.federation.sites import sites_of_process
from fedgan.federation.vault import Vault

Main = Callable[[Grid], None]


def in_process(main: Main, config: Config, ledgers: Path, nodes: int, sign_key: Path | None) -> None:
    """Run `main` and all clients in this process."""
    main(InProcessGrid(client_app(_vault_factory(config, ledgers, sign_key)), nodes))


def on_ray(main: Main, config: Config, ledgers: Path, nodes: int, sign_key: Path | None) -> None:
    """Run `main` here and the clients in Ray's worker processes, one at a time a core.

    Raises:
        UsageError: the extra `ray` is not installed.
    """
    os.environ.update(
        FLWR_TELEMETRY_ENABLED="0", FLWR_DISABLE_UPDATE_CHECK="1", RAY_USAGE_STATS_ENABLED="0", RAY_DEDUP_LOGS="0"
    )
    try:
        import ray  # noqa: F401
    except ImportError:
        raise UsageError("--engine flower needs Ray: pip install 'fedgan[ray]'") from None
    from flwr.simulation import run_simulation

    # Flower sets its own logger to DEBUG when it is imported.
    logging.getLogger("flwr").setLevel(logging.WARNING)

    app = ServerApp()

    @app.main()
    def serve(grid: Grid, context: Context) -> None:
        main(grid)

    threads = use_threads(config.threads)
    run_simulation(
        server_app=app,
        client_app=client_app(_vault_factory(config, ledgers, sign_key)),
        num_supernodes=nodes,
        backend_config={
            "init_args": {"num_cpus": max(threads, os.cpu_count() or 1), "include_dashboard": False},
            "client_resources": {"num_cpus": threads, "num_gpus": 0.0},
        },
    )


def _vault_factory(config: Config, ledgers: Path, sign_key: Path | None) -> Callable[[Context], Vault]:
    return lambda context: sites_of_process(config, ledgers, sign_key).vault(int(context.node_config["partition-id"]))
