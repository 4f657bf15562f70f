"""All that a run would cost."""

from __future__ import annotations

from dataclasses import dataclass

from fedgan.config import Config
from fedgan.federation.algorithms import ALGORITHMS
from fedgan.federation.cohort import cohort_size, participations
from fedgan.federation.components import gan_of
from fedgan.federation.forecast.seconds import expected_seconds
from fedgan.federation.forecast.traffic import arrays_of_all, embedding_bytes, round_bytes
from fedgan.federation.planning import expected_clients, fraction_asked, warm_start_shares
from fedgan.federation.sites import Sites, client_name
from fedgan.privacy.plan import PrivacyPlan


@dataclass(frozen=True)
class Forecast:
    """The cost of a run for all clients.

    Attributes:
        plans: privacy plan of each client, by name.
        clients_asked: clients asked in a round: all at level "client", where each tosses a coin of its own.
        clients_a_round: clients that are expected to take part in a round.
        participations: rounds in which one client is asked at most.
        bytes_down: to one client that is asked in a round, arrays and scalars as they travel.
        bytes_up: from one client that takes part in it; on separate machines its ledger comes on top.
        bytes_a_round: to and from all clients in a round, as many as are expected to take part.
        embeddings: releases of the warm start that each client is asked for.
        embedding_bytes: of the warm start's releases of one client, at most; 0 without one.
        seconds: expected time on this machine, from a few timed steps on random images; None where none were timed.
    """

    plans: dict[str, PrivacyPlan]
    clients_asked: int
    clients_a_round: float
    participations: int
    bytes_down: int
    bytes_up: int
    bytes_a_round: int
    embeddings: int
    embedding_bytes: int
    seconds: float | None


def forecast(config: Config, sites: Sites, *, timed: bool = True) -> Forecast:
    """Return what running `config` would cost; no record is read beyond the clients' public sizes.

    Without `timed` no step is tried, and no time expected.
    """
    train = sites.data.train
    gan = gan_of(config, train.image_shape, train.num_classes)
    algorithm = ALGORITHMS[config.federation.algorithm]
    clients = len(sites)
    warm = config.training.warm_start != "none"
    down, up = round_bytes(config, algorithm, gan)
    return Forecast(
        plans={client_name(index): sites.plan(index) for index in range(clients)},
        clients_asked=cohort_size(clients, fraction_asked(config)),
        clients_a_round=expected_clients(config),
        participations=participations(clients, fraction_asked(config), config.federation.rounds),
        bytes_down=down,
        bytes_up=up,
        bytes_a_round=arrays_of_all(config, down=down, up=up),
        embeddings=len(warm_start_shares(config)) if warm else 0,
        embedding_bytes=embedding_bytes(config, gan, train.num_classes) if warm else 0,
        seconds=expected_seconds(config, gan, records=len(train)) if timed else None,
    )
