"""Whether what a configuration names is there, before anything is built from it."""

from __future__ import annotations

from fedgan.config import Config
from fedgan.errors import bad_value
from fedgan.evaluation import METRICS
from fedgan.federation.aggregation import AGGREGATIONS
from fedgan.federation.algorithms import ALGORITHMS
from fedgan.federation.cohort import cohort_size
from fedgan.federation.combinations import check_combination
from fedgan.federation.sites import pick_device
from fedgan.losses import LOSSES
from fedgan.privacy.clipping import ENGINES


def check_names(config: Config) -> None:
    """Raise UsageError, with the nearest name, for a name in `config` that no registry has, or a device not there."""
    for registry, name in (
        (ALGORITHMS, config.federation.algorithm),
        (AGGREGATIONS, config.federation.aggregation),
        (LOSSES, config.loss.name),
        (ENGINES, config.privacy.clipping_engine),
        *((METRICS, name.strip()) for name in config.evaluation.metrics.split(",")),
    ):
        registry[name]  # type: ignore[index]
    pick_device(config.device)
    check_combination(
        level=config.privacy.level,
        trust=config.privacy.trust,
        algorithm=config.federation.algorithm,
        local_steps=config.federation.local_steps,
        aggregation=config.federation.aggregation,
        minimum_clients=config.federation.minimum_clients,
        clip_quantile=config.privacy.clip_quantile,
    )
    asked = cohort_size(config.partition.clients, config.federation.fraction)
    if config.federation.minimum_clients > asked:
        raise bad_value(
            "federation.minimum_clients", config.federation.minimum_clients, f"at most the {asked} clients of a round"
        )
