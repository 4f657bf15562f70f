"""The same records and settings with another number of clients: what a run would take and cost then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from fedgan.config import Config
from fedgan.errors import UsageError
from fedgan.federation.forecast import Forecast, arrays_of_all
from fedgan.federation.names import check_names
from fedgan.federation.sites import Sites
from fedgan.privacy.plan import PrivacyPlan


@dataclass(frozen=True)
class Scaled:
    """A run with another number of clients.

    Attributes:
        clients: how many.
        reason: why there can be no such run, or "".
        records: what the client with the fewest and the one with the most records hold.
        plan: of the client with the fewest, which pays most; its noise meets the epsilon of the configuration.
        epsilon_at_planned_noise: what it would spend with the noise of the run as it is configured; None without
            privacy.
        bytes_a_round: of arrays from and to all clients in a round.
    """

    clients: int
    reason: str = ""
    records: tuple[int, int] = (0, 0)
    plan: PrivacyPlan | None = None
    epsilon_at_planned_noise: float | None = None
    bytes_a_round: int = 0


def scaled(config: Config, sites: Sites, costs: Forecast) -> tuple[Scaled, Scaled, Scaled]:
    """Return the run of `config` with half its clients, as it is, and with twice as many."""
    now = sites.plan(sites.smallest)
    return (
        _with_clients(len(sites) // 2, config, sites, costs, now),
        _with_clients(len(sites), config, sites, costs, now),
        _with_clients(2 * len(sites), config, sites, costs, now),
    )


def _with_clients(clients: int, config: Config, sites: Sites, costs: Forecast, now: PrivacyPlan) -> Scaled:
    if clients < 1:
        return Scaled(clients, "there is one client only")
    try:
        split = config.partition.model_copy(update={"clients": clients})
        changed = config.model_copy(update={"partition": split})
        check_names(changed)
        other = Sites(changed, Path())
        other.data = sites.data
        plan = other.plan(other.smallest)
    except UsageError as error:
        return Scaled(clients, str(error))
    sizes = [len(part) for part in other.parts]
    same_noise = replace(
        plan,
        noise_multiplier=now.noise_multiplier,
        count_noise=now.count_noise,
        warm_start_noise=now.warm_start_noise,
    )
    return Scaled(
        clients,
        records=(min(sizes), max(sizes)),
        plan=plan,
        epsilon_at_planned_noise=same_noise.planned_epsilon() if plan.level != "none" else None,
        bytes_a_round=arrays_of_all(changed, down=costs.bytes_down, up=costs.bytes_up),
    )
