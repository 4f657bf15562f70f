"""Which levels, trusts and algorithms go together, and why the others do not."""

from __future__ import annotations

from fedgan.errors import UsageError
from fedgan.federation.algorithms import ALGORITHMS
from fedgan.losses import PENALTIES
from fedgan.privacy.plan import Level, Trust
from fedgan.training.warm_start import embedding_shares, stage_shares


def check_combination(
    *,
    level: Level,
    trust: Trust,
    algorithm: str,
    penalty: str,
    local_steps: int,
    aggregation: str,
    server_optimizer: str,
    proximal: float,
    minimum_clients: int,
    clip_quantile: float,
    compression: str,
) -> None:
    """Raise UsageError, with the reason, for settings whose privacy cannot be accounted for, or that contradict.

    Args:
        level, trust, clip_quantile: of table `privacy`.
        penalty: `loss.penalty`.
        algorithm, local_steps, aggregation, server_optimizer, proximal, minimum_clients, compression: of table
            `federation`.
    """
    summed = ALGORITHMS[algorithm].releases == "gradient_sum"
    if (looks := PENALTIES[penalty]) and looks.between and summed:
        raise UsageError(
            f"loss.penalty = {penalty!r} does not go with federation.algorithm = {algorithm!r}, whose clients have no "
            "generator to look between real and generated images: give 'r1' or 'none'",
            "loss.penalty",
        )
    if summed:
        _check_sums(algorithm, local_steps, server_optimizer, proximal)
    if trust == "aggregator" and level != "none" and aggregation != "mean":
        raise UsageError(
            f"federation.aggregation = {aggregation!r} does not go with privacy.trust = 'aggregator': the "
            "server's noise is that of a sum of clipped contributions, to which one record or client adds no more than "
            "the clip; no such bound holds for other rules; give 'mean' or privacy.trust = 'local'",
            "federation.aggregation",
        )
    if level == "record" and trust == "aggregator" and not summed:
        raise UsageError(
            f"privacy.trust = 'aggregator' does not go with federation.algorithm = {algorithm!r} at level 'record': "
            "noise added by the server hides a record only in a sum of clipped gradients, and several local steps "
            "without noise have no such bound; give privacy.trust = 'local' or federation.algorithm = 'fedsgd'",
            "privacy.trust",
        )
    if level == "record" and trust != "local" and compression != "none":
        raise UsageError(
            f"federation.compression = {compression!r} does not go with privacy.trust = {trust!r} at level 'record': "
            "rounding a sum before the noise is added moves it by more than one record's clipped share, which is all "
            "that the noise is for; give federation.compression = 'none' or privacy.trust = 'local'",
            "federation.compression",
        )
    if level == "client":
        _check_client_level(trust, algorithm, minimum_clients)
    elif clip_quantile:
        raise UsageError(
            f"privacy.clip_quantile = {clip_quantile:g} goes with privacy.level = 'client' alone: give 0",
            "privacy.clip_quantile",
        )


def check_early_stopping(*, patience: int, rounds: int, warm_start: str, refined: bool, anchor_weight: float) -> None:
    """Raise UsageError, with the reason, where early stopping would have nothing, or nothing untouched, to look at.

    Args:
        patience: `training.early_stopping_rounds`; 0 for none.
        rounds: `federation.rounds`.
        warm_start, anchor_weight: of table `training`.
        refined: `training.warm_start_refinement`.
    """
    key = "training.early_stopping_rounds"
    if patience == 0:
        return
    if warm_start == "none" or (warm_start == "mixture" and not refined):
        raise UsageError(
            f"{key} = {patience} watches features that a warm start has released, and training.warm_start = "
            f"{warm_start!r} releases none: give 0, or training.warm_start = 'mean_embedding' or 'mixture' with "
            "training.warm_start_refinement = true",
            key,
        )
    if rounds == 0:
        raise UsageError(
            f"{key} = {patience} withholds a tenth of the released features from the warm start, and without rounds "
            "(federation.rounds = 0) there is nothing to stop: give 0",
            key,
        )
    if anchor_weight > 0:
        raise UsageError(
            f"{key} = {patience} does not go with training.anchor_weight = {anchor_weight:g}, by which generator steps "
            "fit what is watched: give 0 for one of them",
            key,
        )


def check_warm_start(
    *,
    warm_start: str,
    model: str,
    anchor_weight: float,
    public_data: str,
    stages: int = 0,
    early_stopping: int = 0,
    class_counts: str = "released",
    rounds: int = 1,
) -> None:
    """Raise UsageError, with the reason, where a warm start does not go with other settings.

    Args:
        warm_start, anchor_weight, public_data, class_counts: of table `training`.
        model: `model.name`.
        stages: `training.warm_start_stages`; 0 for the usual number.
        early_stopping: `training.early_stopping_rounds`; 0 for none.
        rounds: `federation.rounds`.
    """
    if warm_start == "none" and rounds == 0 and not public_data:
        raise UsageError(
            "federation.rounds = 0 does not go with training.warm_start = 'none', as nothing would be trained: give at "
            "least 1, or training.warm_start = 'mean_embedding' or 'mixture'",
            "federation.rounds",
        )
    if warm_start == "mean_embedding":
        _check_embeddings(stages or 1, anchor_weight, early_stopping)
    if warm_start == "mixture" and stages:
        stage_shares(stages)
    if warm_start == "mixture" and model != "mixture":
        raise UsageError(
            f"training.warm_start = 'mixture' does not go with model.name = {model!r}: it estimates the components "
            "of a mixture; give model.name = 'mixture' or training.warm_start = 'mean_embedding'",
            "training.warm_start",
        )
    if warm_start == "mixture" and class_counts != "released":
        raise UsageError(
            f"training.class_counts = {class_counts!r} does not go with training.warm_start = 'mixture', which reads "
            "the noisy counts of its cells: give 'released' or training.warm_start = 'mean_embedding'",
            "training.class_counts",
        )
    if warm_start == "mixture" and anchor_weight > 0:
        raise UsageError(
            f"training.anchor_weight = {anchor_weight:g} does not go with training.warm_start = 'mixture', which has "
            "no mean embedding to be anchored to: give 0",
            "training.anchor_weight",
        )
    if warm_start == "mixture" and public_data:
        raise UsageError(
            f"training.public_data = {public_data!r} does not go with training.warm_start = 'mixture', which sets the "
            "components whatever they were: give '' or training.warm_start = 'mean_embedding'",
            "training.public_data",
        )


def _check_embeddings(stages: int, anchor_weight: float, early_stopping: int) -> None:
    """Raise UsageError where mean embeddings in `stages` releases do not go with other settings of table `training`."""
    embedding_shares(stages)
    for key, value, why in (
        ("anchor_weight", anchor_weight, "anchors generator steps to the features of the first release alone"),
        ("early_stopping_rounds", early_stopping, "watches a part of the release that no fit may have seen"),
    ):
        if stages > 1 and value > 0:
            raise UsageError(
                f"training.{key} = {value:g} does not go with training.warm_start_stages = {stages}: it {why}, and "
                "later ones are of features learned from it; give 0 or training.warm_start_stages = 1",
                f"training.{key}",
            )


def _check_sums(algorithm: str, local_steps: int, server_optimizer: str, proximal: float) -> None:
    for key, value, accepted, why in (
        ("local_steps", local_steps, 1, "sends one gradient sum a round"),
        ("server_optimizer", server_optimizer, "none", "steps by Adam at the server already"),
        ("proximal", proximal, 0, "has no local steps that could lead away from what was sent"),
    ):
        if value != accepted:
            raise UsageError(
                f"federation.{key} = {value!r} does not go with federation.algorithm = {algorithm!r}, which {why}: "
                f"give {accepted!r}",
                f"federation.{key}",
            )


def _check_client_level(trust: Trust, algorithm: str, minimum_clients: int) -> None:
    if trust != "aggregator":
        raise UsageError(
            f"privacy.level = 'client' does not go with privacy.trust = {trust!r}: the server sees which client "
            "answers, so a client's presence can be hidden from all but the server; give privacy.trust = 'aggregator'",
            "privacy.trust",
        )
    if ALGORITHMS[algorithm].returns != ("discriminator",) or ALGORITHMS[algorithm].releases != "networks":
        raise UsageError(
            f"privacy.level = 'client' does not go with federation.algorithm = {algorithm!r}: what is clipped and "
            "noised as a whole is a client's update of the discriminator, and the generator learns from that alone; "
            "give federation.algorithm = 'dp_fedavg_gan'",
            "federation.algorithm",
        )
    if minimum_clients != 1:
        raise UsageError(
            f"federation.minimum_clients = {minimum_clients} does not go with privacy.level = 'client': "
            "leaving a round out would tell how many took part in it; give 1",
            "federation.minimum_clients",
        )
