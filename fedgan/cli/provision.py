"""`fedgan provision`: the folders, keys and certificates of a federation on separate machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedgan.cli.console import show
from fedgan.config import load_config
from fedgan.errors import UsageError, bad_value

if TYPE_CHECKING:
    from fedgan.federation.daemon.site import SiteFolder


def provision(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to set the federation up in.")],
    clients: Annotated[
        int | None, typer.Option(min=1, max=99999, help="Sites in all, earlier and revoked ones included.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Name or address under which the sites reach the server.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65534, help="Port of the server; the next one too.")] = None,
    demo: Annotated[
        Path | None,
        typer.Option(metavar="CONFIG", help="Fill each new site with its part of this configuration's data."),
    ] = None,
    revoke: Annotated[str | None, typer.Option(metavar="CLIENT", help="Strike a site out, such as 00002.")] = None,
) -> None:
    """Write DIR/server/ and DIR/client-00000/ ..., one to carry to each machine; run again to add or revoke a site."""
    from fedgan.federation.deploy.provision import Provision
    from fedgan.federation.deploy.provision import provision as set_up

    if clients is None and revoke is None:
        raise UsageError("give --clients N, or --revoke CLIENT")
    if revoke is not None:
        Provision(folder, host=None, port=None).revoke(revoke)
        show(f"client {revoke} is struck out from the server's next start on")
    if clients is None:
        return
    if demo is None:
        made = set_up(folder, clients=clients, host=host, port=port)
    else:
        made = _with_demo(folder, clients, host, port, demo)
    for site in made:
        show(f"{site.path}: carry it to its machine, then see README.md there")
    show(f"{folder / 'server'}: for the server's machine\n{folder / 'authority'}: keep it offline")


def _with_demo(folder: Path, clients: int, host: str | None, port: int | None, demo: Path) -> list[SiteFolder]:
    """Set up a federation whose sites hold their parts of the data of the configuration `demo`."""
    from fedgan.federation.deploy.demo import fill_demo
    from fedgan.federation.deploy.provision import provision as set_up
    from fedgan.federation.sites import Sites

    config = load_config(demo)
    if config.partition.clients != clients:
        raise bad_value("--clients", clients, f"{config.partition.clients}, the partition.clients of {demo}")
    sites = Sites(config, Path())
    sites.check_batch(sites.smallest)
    classes = sites.data.train.num_classes
    made = set_up(folder, clients=clients, host=host, port=port, demo=config, classes=classes)
    fill_demo(sites, made)
    return made
