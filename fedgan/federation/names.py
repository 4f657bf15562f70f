"""Whether what a configuration names is there, before anything is built from it."""

from __future__ import annotations

from fedgan.config import Config
from fedgan.data import SKEWS
from fedgan.errors import UsageError, bad_value
from fedgan.evaluation import choose_metrics
from fedgan.federation.aggregation import AGGREGATIONS
from fedgan.federation.algorithms import ALGORITHMS
from fedgan.federation.assessment import inception_weights
from fedgan.federation.cohort import cohort_size
from fedgan.federation.combinations import check_combination, check_early_stopping, check_warm_start
from fedgan.federation.machine import pick_device
from fedgan.federation.public_start import check_public_data
from fedgan.federation.server_optimizers import SERVER_OPTIMIZERS
from fedgan.federation.server_setup import assumptions_of
from fedgan.losses import LOSSES, PENALTIES
from fedgan.privacy.clipping import ENGINES
from fedgan.training.augmentation import choose_augmentations
from fedgan.training.critic import check_clipping_engine
from fedgan.training.warm_start import check_families


def check_names(config: Config) -> None:
    """Raise UsageError for what `config` names and is not there: an entry of a registry, an extra, a device."""
    for registry, name in (
        (SKEWS, config.partition.skew),
        (ALGORITHMS, config.federation.algorithm),
        (AGGREGATIONS, config.federation.aggregation),
        (SERVER_OPTIMIZERS, config.federation.server_optimizer),
        (LOSSES, config.loss.name),
        (PENALTIES, config.loss.penalty),
        (ENGINES, config.privacy.clipping_engine),
    ):
        registry[name]
    check_families(config.training.warm_start_family)
    check_families(config.training.warm_start_refinement_family, "training.warm_start_refinement_family")
    check_public_data(config)
    choose_metrics(config.evaluation.metrics, inception_weights(config))
    if config.privacy.level != "none":
        check_clipping_engine(
            config.privacy.clipping_engine,
            penalty=config.loss.penalty,
            precision=config.training.precision,
            copies=config.training.augmentation_copies,
        )
    if not choose_augmentations(config.training.augmentation) and config.training.augmentation_chance != 1:
        chance = config.training.augmentation_chance
        raise bad_value("training.augmentation_chance", chance, "1 without training.augmentation")
    if (penalty := config.loss.penalty) != "none":
        for key, value, accepted in (
            ("training.augmentation_copies", config.training.augmentation_copies, 1),
            ("training.dropout", config.training.dropout, 0),
        ):
            if value > accepted:
                raise bad_value(key, value, f"{accepted} with loss.penalty = {penalty!r}")
    pick_device(config.device)
    check_combination(
        level=config.privacy.level,
        trust=config.privacy.trust,
        algorithm=config.federation.algorithm,
        penalty=config.loss.penalty,
        local_steps=config.federation.local_steps,
        aggregation=config.federation.aggregation,
        server_optimizer=config.federation.server_optimizer,
        proximal=config.federation.proximal,
        minimum_clients=config.federation.minimum_clients,
        clip_quantile=config.privacy.clip_quantile,
        compression=config.federation.compression,
    )
    check_warm_start(
        warm_start=config.training.warm_start,
        model=config.model.name,
        anchor_weight=config.training.anchor_weight,
        public_data=config.training.public_data,
        stages=config.training.warm_start_stages,
        early_stopping=config.training.early_stopping_rounds,
        class_counts=config.training.class_counts,
        rounds=config.federation.rounds,
    )
    check_early_stopping(
        patience=config.training.early_stopping_rounds,
        rounds=config.federation.rounds,
        warm_start=config.training.warm_start,
        refined=config.training.warm_start_refinement,
        anchor_weight=config.training.anchor_weight,
    )
    asked = cohort_size(config.partition.clients, config.federation.fraction)
    if config.federation.minimum_clients > asked:
        raise bad_value(
            "federation.minimum_clients", config.federation.minimum_clients, f"at most the {asked} clients of a round"
        )
    rule = AGGREGATIONS[config.federation.aggregation]
    if (least := rule.least(assumptions_of(config))) > asked:
        raise UsageError(
            f"federation.aggregation = {config.federation.aggregation!r} needs {least} replies in a round, which asks "
            f"{asked} clients: {rule.why}",
            "federation.aggregation",
        )
