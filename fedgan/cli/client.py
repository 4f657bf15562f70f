"""`fedgan client`: a site of a federation, with its vault."""

from __future__ import annotations

import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fedgan.cli.console import say, show
from fedgan.errors import FedganError


class Part(StrEnum):
    """A part of a site."""

    vault = "vault"
    node = "node"


def client(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the site, from `fedgan provision`.")],
    check: Annotated[
        bool, typer.Option("--check", help="Say whether the site that runs from DIR is well, and exit 0 or 1.")
    ] = False,
    only: Annotated[Part | None, typer.Option(help="Run one of the two, where they are kept apart.")] = None,
) -> None:
    """Run a site until it is stopped: the vault daemon, and Flower's SuperNode that carries its messages."""
    from fedgan.federation.daemon.site import SiteFolder
    from fedgan.federation.deploy.client import BOTH, is_well, run_client

    site = SiteFolder(folder.absolute())
    parts = [only.value] if only else BOTH
    if check:
        if not is_well(site, parts):
            raise FedganError(f"the site in {folder} does not run, or a process of it is down: see {site.logs}")
        show(f"{' and '.join(parts)} run")
        return
    logging.getLogger("fedgan").setLevel(min(logging.INFO, logging.getLogger().level))
    run_client(site, say, parts)
