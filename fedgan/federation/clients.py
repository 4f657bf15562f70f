"""Who takes part in a run, and which Flower node each answers from."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from flwr.app import RecordDict
from flwr.serverapp import Grid

from fedgan.errors import FedganError, IntegrityError
from fedgan.federation.exchange import exchange, messages_for
from fedgan.federation.relay import DESCRIBE
from fedgan.federation.requests import Description, quoted
from fedgan.files import write_text

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Node:
    """A client and the Flower node it answers from."""

    node_id: int
    description: Description


def discover(grid: Grid, *, timeout: float | None, names: Mapping[int, str] | None = None) -> dict[str, Node]:
    """Ask every node who it is and return the clients by name.

    Args:
        grid: to them.
        timeout: seconds to wait for answers; None to wait for ever.
        names: of the clients by node, where that is known; a node that gives another is left out.

    Raises:
        FedganError: nobody answers, or two clients disagree about image shape or classes, or share a name.
    """
    clients, left_out = ask_who(grid, timeout=timeout, names=names)
    if not clients:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise FedganError(f"no client answered ({reasons or 'there is no node'}): is the federation running?")
    check_alike(clients)
    return clients


def ask_who(
    grid: Grid,
    *,
    timeout: float | None,
    names: Mapping[int, str] | None = None,
    besides: Mapping[str, Node] | None = None,
) -> tuple[dict[str, Node], dict[str, str]]:
    """Return the clients that answered as `discover` does, and why others are left out; two of a name are an error.

    Args:
        grid, timeout, names: as for `discover`.
        besides: clients that have answered already: they are returned with the others and not asked.
    """
    clients = dict(besides or {})
    known = {node.node_id for node in clients.values()}
    nodes = [node for node in grid.get_node_ids() if node not in known]
    messages = messages_for({node: RecordDict() for node in nodes}, DESCRIBE, "0")
    answers = exchange(grid, messages, Description, timeout)
    left_out = {(names or {}).get(node, f"node {node}"): reason for node, reason in answers.refused.items()}
    for node, description in answers.good.items():
        if names is not None and names.get(node) != description.client:
            left_out[names.get(node, f"node {node}")] = f"calls itself {quoted(description.client)}"
            continue
        if description.client in clients:
            raise FedganError(f"two nodes call themselves client {description.client}")
        clients[description.client] = Node(node, description)
    for name, reason in left_out.items():
        _LOGGER.warning("%s is left out: %s", name, reason)
    return dict(sorted(clients.items())), left_out


def check_alike(clients: Mapping[str, Node]) -> None:
    """Raise FedganError where clients disagree about image shape or number of classes."""
    shapes = {(node.description.image_shape, node.description.num_classes) for node in clients.values()}
    if len(shapes) > 1:
        raise FedganError(f"clients disagree about image shape and number of classes: {sorted(shapes)}")


def write_roster(path: Path, clients: Mapping[str, Node]) -> None:
    """Write what `clients` said of their data, without their ledgers, so that a run goes on without some of them."""
    rows = {name: {**asdict(node.description), "ledger": ""} for name, node in clients.items()}
    write_text(path, json.dumps(rows, indent=2) + "\n")


def read_roster(path: Path, nodes: Mapping[str, int]) -> dict[str, Node]:
    """Return the clients of a run at the `nodes` they have now; raises IntegrityError for a damaged file."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        for row in rows.values():
            row["image_shape"] = tuple(row["image_shape"])
        return {name: Node(nodes[name], Description(**row)) for name, row in rows.items() if name in nodes}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{path}: damaged: {error}") from None
