"""Settings whose privacy has no proof, or that contradict each other, are refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from fedgan.errors import UsageError
from fedgan.federation.combinations import check_combination, check_warm_start

pytestmark = pytest.mark.privacy

DEFAULTS: dict[str, Any] = {
    "level": "record",
    "trust": "local",
    "algorithm": "fedgan",
    "penalty": "none",
    "local_steps": 1,
    "aggregation": "mean",
    "server_optimizer": "none",
    "proximal": 0.0,
    "minimum_clients": 1,
    "clip_quantile": 0.0,
    "compression": "none",
}


@pytest.mark.parametrize(
    "accepted",
    [
        *({"level": "none", "algorithm": name} for name in ("fedgan", "dp_fedavg_gan", "fedsgd")),
        *({"level": "record", "algorithm": name} for name in ("fedgan", "dp_fedavg_gan", "fedsgd")),
        {"level": "record", "trust": "aggregator", "algorithm": "fedsgd"},
        {"level": "client", "trust": "aggregator", "algorithm": "dp_fedavg_gan"},
        {"level": "client", "trust": "aggregator", "algorithm": "dp_fedavg_gan", "clip_quantile": 0.5},
        {"algorithm": "fedsgd", "penalty": "r1"},
        {"algorithm": "fedgan", "server_optimizer": "adam", "proximal": 0.1},
        {"level": "client", "trust": "aggregator", "algorithm": "dp_fedavg_gan", "server_optimizer": "yogi"},
        *({"algorithm": "fedsgd", "aggregation": rule} for rule in ("median", "trimmed_mean", "krum")),
        *({"level": "none", "aggregation": rule} for rule in ("median", "trimmed_mean", "krum")),
        {"algorithm": "dp_fedavg_gan", "penalty": "gradient_penalty"},
        *({"level": level, "compression": "int8"} for level in ("none", "record")),
        {"level": "none", "trust": "aggregator", "algorithm": "fedsgd", "compression": "float16"},
        {"level": "client", "trust": "aggregator", "algorithm": "dp_fedavg_gan", "compression": "int8"},
        {"algorithm": "fedgan", "penalty": "gradient_penalty"},
        {"algorithm": "fedgan", "local_steps": 20, "minimum_clients": 3},
    ],
)
def test_accepted(accepted: dict[str, Any]) -> None:
    check_combination(**DEFAULTS | accepted)


CLIENT = {"level": "client", "trust": "aggregator", "algorithm": "dp_fedavg_gan"}


@pytest.mark.parametrize(
    ("refused", "key", "reason"),
    [
        ({"trust": "aggregator"}, "privacy.trust", "several local steps"),
        ({"trust": "aggregator", "algorithm": "dp_fedavg_gan"}, "privacy.trust", "several local steps"),
        ({"algorithm": "fedsgd", "penalty": "gradient_penalty"}, "loss.penalty", "no generator"),
        ({"algorithm": "fedsgd", "local_steps": 2}, "federation.local_steps", "one gradient sum a round"),
        (
            {"trust": "aggregator", "algorithm": "fedsgd", "aggregation": "median"},
            "federation.aggregation",
            "clipped contributions",
        ),
        (
            {"algorithm": "fedsgd", "server_optimizer": "adam"},
            "federation.server_optimizer",
            "Adam at the server already",
        ),
        ({"algorithm": "fedsgd", "proximal": 0.1}, "federation.proximal", "no local steps"),
        (CLIENT | {"aggregation": "krum"}, "federation.aggregation", "clipped contributions"),
        (CLIENT | {"aggregation": "trimmed_mean"}, "federation.aggregation", "clipped contributions"),
        (CLIENT | {"trust": "local"}, "privacy.trust", "which client answers"),
        (CLIENT | {"algorithm": "fedgan"}, "federation.algorithm", "update of the discriminator"),
        (CLIENT | {"algorithm": "fedsgd"}, "federation.algorithm", "update of the discriminator"),
        (CLIENT | {"minimum_clients": 2}, "federation.minimum_clients", "how many took part"),
        ({"clip_quantile": 0.5}, "privacy.clip_quantile", "'client' alone"),
    ],
    ids=[
        "aggregator-of-networks",
        "aggregator-of-discriminators",
        "penalty-between",
        "several-sums",
        "median-of-sums",
        "optimizer-twice",
        "proximal-sums",
        "krum-of-clients",
        "trimmed-clients",
        "clients-trusting-nobody",
        "clients-with-generators",
        "clients-with-sums",
        "clients-left-out",
        "quantile-of-records",
    ],
)
def test_refused_with_the_reason(refused: dict[str, Any], key: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        check_combination(**DEFAULTS | refused)
    assert caught.value.key == key


@pytest.mark.parametrize("rule", ["krum", "median", "trimmed_mean"])
@pytest.mark.parametrize("settings", [CLIENT, {"trust": "aggregator", "algorithm": "fedsgd"}])
def test_other_rules_than_sums_need_local_trust(settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(UsageError, match="no such bound holds for other rules"):
        check_combination(**DEFAULTS | settings | {"aggregation": rule})


@pytest.mark.privacy
@pytest.mark.parametrize("compression", ["float16", "int8"])
def test_sums_that_wait_for_the_servers_noise_are_not_rounded(compression: str) -> None:
    summed = {"trust": "aggregator", "algorithm": "fedsgd", "compression": compression}
    with pytest.raises(UsageError, match="rounding a sum before the noise") as caught:
        check_combination(**DEFAULTS | summed)
    assert caught.value.key == "federation.compression"


def test_a_run_that_would_train_nothing_is_refused() -> None:
    nothing: dict[str, Any] = {
        "warm_start": "none",
        "model": "mlp",
        "anchor_weight": 0.0,
        "public_data": "",
        "rounds": 0,
    }
    with pytest.raises(UsageError, match=r"federation\.rounds = 0 .*nothing would be trained") as caught:
        check_warm_start(**nothing)
    assert caught.value.key == "federation.rounds"
    for something in ({"rounds": 1}, {"warm_start": "mean_embedding"}, {"public_data": "mnist"}):
        check_warm_start(**nothing | something)
