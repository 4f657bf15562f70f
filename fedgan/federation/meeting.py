"""The beginning and the end of a run on separate machines: who is there, and what their ledgers say."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from flwr.serverapp import Grid

from fedgan.config import Config
from fedgan.errors import FedganError, IntegrityError
from fedgan.federation.clients import Node, ask_who, check_alike, discover, read_roster, write_roster
from fedgan.federation.exchange import wait_for_nodes
from fedgan.federation.ledger_copies import LedgerCopies
from fedgan.federation.reports import LATE
from fedgan.runs import RunFolder

if TYPE_CHECKING:
    from fedgan.federation.run import Terms

_LOGGER = logging.getLogger(__name__)
_ROSTER = ".clients.json"


def meet(grid: Grid, config: Config, folder: RunFolder, terms: Terms, *, resume: bool) -> dict[str, Node]:
    """Wait for the clients of `config` and return who takes part.

    The terms' patience is how long their nodes are waited for, and then their answers; where the run cannot do without
    those whose answer does not come in that time, they are asked once more and waited for as long again.

    A new run needs all of them: their sizes go into its sampling rates and weights. One that goes on needs as many as a
    round does; the others are asked again in every round.

    Raises:
        FedganError: too few are there, or they do not fit together.
        IntegrityError: a ledger does not continue what its site showed before, and the run cannot do without it.
    """
    wait_for_nodes(grid, config.partition.clients, terms.patience)
    if terms.copies is None:
        return discover(grid, timeout=None)
    needed = config.federation.minimum_clients if resume else config.partition.clients
    clients, left_out = ask_who(grid, timeout=terms.patience, names=terms.names)
    if len(clients) < needed and LATE in left_out.values():
        # Whoever loses its connection with a question in hand never answers it; a second one costs nothing.
        _LOGGER.warning("%d clients answered and %d are needed: the others are asked again", len(clients), needed)
        clients, again = ask_who(grid, timeout=terms.patience, names=terms.names, besides=clients)
        left_out |= again
    faults = _faults(clients, terms.copies)
    there = {name: node for name, node in clients.items() if name not in faults}
    key = "federation.minimum_clients" if resume else "partition.clients"
    if faults and len(there) < needed:
        raise IntegrityError("; ".join(f"client {name}: {fault}" for name, fault in faults.items()))
    if len(there) < needed:
        missing = sorted(set((terms.names or {}).values()) - clients.keys())
        reasons = ", ".join(f"{name} ({left_out[name]})" if name in left_out else name for name in missing)
        raise FedganError(f"{len(there)} clients answered but {key} = {needed}: missing are {reasons or 'some'}")
    roster = folder.path / _ROSTER
    if resume:
        nodes = {name: node for node, name in (terms.names or {}).items()}
        there = dict(sorted({**read_roster(roster, nodes), **there}.items()))
    check_alike(there)
    if not resume:
        write_roster(roster, there)
    return there


def last_ledgers(grid: Grid, terms: Terms) -> dict[str, str]:
    """Take up the ledgers as they are at a run's end; return what is wrong with whose, which no run waits for.

    What a site's releases were charged stands in the copies already: each release brought its ledger.
    """
    if terms.copies is None:
        return {}
    clients, _ = ask_who(grid, timeout=terms.patience, names=terms.names)
    return _faults(clients, terms.copies)


def _faults(clients: Mapping[str, Node], copies: LedgerCopies) -> dict[str, str]:
    faults: dict[str, str] = {}
    for name, node in clients.items():
        if fault := copies.keep(name, node.description.ledger, signature=node.description.signature):
            faults[name] = fault
            _LOGGER.warning("client %s: %s", name, fault)
    return faults
