"""What a run's configuration says of privacy: rates, shares and the plan of each client."""

from __future__ import annotations

from fedgan.config import Config
from fedgan.federation.algorithms import ALGORITHMS
from fedgan.federation.cohort import cohort_size, participations
from fedgan.federation.components import fitted_family, is_refined, stages_of
from fedgan.privacy.plan import PrivacyPlan, make_plan
from fedgan.training.warm_start import embedding_shares, stage_shares


def draws_from_everybody(config: Config) -> bool:
    """Return whether a batch of `config` is drawn from the records of all clients, at one common rate."""
    return ALGORITHMS[config.federation.algorithm].releases == "gradient_sum"


def batch_of(config: Config) -> int:
    """Return the expected records of a batch of real ones, 0 where there is no round to draw any."""
    return config.training.batch_size if config.federation.rounds else 0


def fraction_asked(config: Config) -> float:
    """Return the part of the clients that is asked in a round: all where each decides by a coin of its own."""
    return 1.0 if config.privacy.level == "client" else config.federation.fraction


def plan_of(config: Config, *, records: int, everybody: int) -> PrivacyPlan:
    """Return the plan of a client with `records` records, in a federation that holds `everybody` records."""
    privacy, federation, clients = config.privacy, config.federation, config.partition.clients
    whole_clients = privacy.level == "client"
    if whole_clients:
        probability = federation.fraction
    else:
        probability = config.training.batch_size / (everybody if draws_from_everybody(config) else records)
        if not batch_of(config):
            probability = min(1.0, probability)
    return make_plan(
        level=privacy.level,
        trust=privacy.trust,
        records=records,
        clients=clients,
        probability=probability,
        clip=privacy.clip,
        epsilon=privacy.epsilon,
        delta=privacy.delta,
        accountant=privacy.accountant,
        clipping_engine=privacy.clipping_engine,
        warm_start_share=privacy.warm_start_share if config.training.warm_start != "none" else 0.0,
        steps_per_round=1 if whole_clients else federation.local_steps,
        participations=participations(clients, fraction_asked(config), federation.rounds),
        adaptive_clip=privacy.clip_quantile > 0,
        warm_start_shares=warm_start_shares(config),
        evaluation_epsilon=privacy.evaluation_epsilon,
    )


def warm_start_shares(config: Config) -> tuple[float, ...]:
    """Return how the warm start of `config` shares its precision between its releases."""
    if config.training.warm_start == "none":
        return (1.0,)
    if config.training.warm_start == "mean_embedding":
        return embedding_shares(stages_of(config))
    return stage_shares(stages_of(config), fitted_family(config) if is_refined(config) else "")


def expected_clients(config: Config) -> float:
    """Return how many clients are expected to take part in a round."""
    clients, fraction = config.partition.clients, config.federation.fraction
    return clients * fraction if config.privacy.level == "client" else cohort_size(clients, fraction)
