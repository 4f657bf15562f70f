"""`fedgan client`: a site of a federation, with its vault."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from fedgan.cli.console import say, show
from fedgan.errors import FedganError


def client(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the site, from `fedgan provision`.")],
    check: Annotated[
        bool, typer.Option("--check", help="Say whether the site that runs from DIR is well, and exit 0 or 1.")
    ] = False,
) -> None:
    """Run a site until it is stopped: the vault daemon, and Flower's SuperNode that carries its messages."""
    from fedgan.federation.daemon.site import SiteFolder
    from fedgan.federation.deploy.client import is_well, run_client

    site = SiteFolder(folder.absolute())
    if check:
        if not is_well(site):
            raise FedganError(f"the site in {folder} does not run, or a process of it is down: see {site.logs}")
        show("vault and node run")
        return
    logging.getLogger("fedgan").setLevel(min(logging.INFO, logging.getLogger().level))
    run_client(site, say)
