"""What each key accepts, from both sides of its limit."""

from __future__ import annotations

import pytest

from fedgan.config import Config, flatten, load_config
from fedgan.errors import UsageError

LIMITS = [
    # key, values refused, values accepted
    ("seed", ["-1", "2147483648", "1.5"], ["0", "2147483647"]),
    ("threads", ["-1", "4097"], ["0", "1"]),
    ("data.image_size", ["-1", "8.0"], ["0", "64"]),
    ("data.channels", ["2", "-1", '"1"'], ["0", "1", "3"]),
    ("data.root", ['"\\u0000"', '"\\n"', "3"], ['""', '"/data/é"']),
    ("partition.clients", ["0", "-1"], ["1"]),
    ("partition.alpha", ["0", "-0.5", "nan", "inf"], ["1e-3"]),
    ("partition.shards_per_client", ["0"], ["1"]),
    ("partition.skew_strength", ["0", "1.1", "nan"], ["0.01", "1"]),
    ("federation.absence", ["1", "-0.1", "nan"], ["0", "0.5"]),
    ("model.latent_dim", ["0"], ["1"]),
    ("model.width", ["-1"], ["0"]),
    ("training.batch_size", ["0", "-1", "true", "6.5"], ["1"]),
    ("training.discriminator_steps", ["0", "fast", "1.5"], ["1", "adaptive"]),
    ("training.generator_batch_size", ["0"], ["1"]),
    ("training.discriminator_learning_rate", ["0", "-1", "nan", "inf"], ["1e-9"]),
    ("training.generator_learning_rate", ["0", "-1", "nan", "inf"], ["1e-9"]),
    ("training.beta1", ["1", "-0.1", "nan"], ["0", "0.9"]),
    ("training.beta2", ["1", "-0.1", "nan"], ["0", "0.9"]),
    ("training.ema_decay", ["1", "-0.1"], ["0", "0.9"]),
    ("training.augmentation_chance", ["-0.1", "1.1", "nan", "often"], ["0", "1", "adaptive"]),
    ("training.augmentation_copies", ["0", "1.5"], ["1", "4"]),
    ("training.dropout", ["-0.1", "1", "nan"], ["0", "0.5"]),
    ("training.instance_noise", ["-1", "nan", "inf"], ["0", "0.5"]),
    ("training.spectral_bound", ["-1", "nan", "inf"], ["0", "1"]),
    ("loss.label_smoothing", ["-0.1", "0.5", "nan"], ["0", "0.1"]),
    ("loss.auxiliary_weight", ["-0.1", "nan", "inf", "true", '"1"'], ["0", "1", "1e6"]),
    ("training.warm_start", ["mean", "true"], ["none", "mean_embedding"]),
    ("training.warm_start_steps", ["0"], ["1"]),
    ("training.anchor_weight", ["-1", "nan", "inf"], ["0", "1"]),
    ("federation.rounds", ["-1", "1.5"], ["0"]),
    ("federation.local_steps", ["0"], ["1"]),
    ("federation.fraction", ["0", "-0.1", "1.1", "nan"], ["1e-3", "1"]),
    ("federation.minimum_clients", ["0"], ["1"]),
    ("federation.trimmed_part", ["0", "0.5", "-0.1", "nan"], ["0.01", "0.49"]),
    ("federation.faulty_clients", ["-1", "0.5"], ["0", "3"]),
    ("federation.server_learning_rate", ["0", "-1", "inf"], ["1e-3", "1"]),
    ("federation.server_beta1", ["1", "-0.1"], ["0", "0.9"]),
    ("federation.server_beta2", ["1", "-0.1"], ["0", "0.99"]),
    ("federation.server_tau", ["0", "-1", "inf"], ["1e-9"]),
    ("federation.proximal", ["-1", "nan", "inf"], ["0", "0.1"]),
    ("federation.krum_kept", ["0", "1.5"], ["1", "4"]),
    ("federation.time_limit", ["-1", "nan", "inf"], ["0"]),
    ("privacy.level", ["clients", "true"], ["record", "client", "none"]),
    ("privacy.trust", ["server", "secure_aggregation"], ["local", "aggregator"]),
    ("privacy.clip_quantile", ["-0.1", "1"], ["0", "0.5"]),
    ("privacy.epsilon", ["0", "-1", "inf", "nan", "true", '"1"'], ["1e-3", "100"]),
    ("privacy.delta", ["0", "1", "1.5", "-1e-5", "nan"], ["1e-12", "0.999"]),
    ("privacy.clip", ["0", "-1", "inf", "nan"], ["1e-3"]),
    ("privacy.warm_start_share", ["0", "1", "1.1", "nan"], ["0.01", "0.99"]),
    ("privacy.accountant", ["moments"], ["pld", "rdp", "prv"]),
    ("privacy.evaluation_epsilon", ["-1", "inf", "nan"], ["0", "1"]),
    ("privacy.lifetime_epsilon", ["-1", "inf", "nan"], ["0", "1"]),
    ("evaluation.count", ["0"], ["1"]),
    ("device", ["gpu", "cuda:0"], ["auto", "cpu", "cuda"]),
]


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, refused, _ in LIMITS for value in refused])
def test_a_value_out_of_range_is_refused_with_its_key(key: str, value: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(None, [f"{key}={value}"])
    message = str(caught.value)
    assert message.startswith(f"--set: {key} = ")
    assert " is not accepted: " in message
    assert "give " in message


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, _, fine in LIMITS for value in fine])
def test_a_value_in_range_is_taken(key: str, value: str) -> None:
    taken = flatten(load_config(None, [f"{key}={value}"]).model_dump())[key]
    assert taken == value.strip('"') or taken == float(value)


def test_every_key_has_a_default_and_the_tables_of_the_design() -> None:
    config = Config()
    tables = {key.partition(".")[0] for key in flatten(config.model_dump()) if "." in key}
    assert tables == {"data", "partition", "model", "loss", "training", "federation", "privacy", "evaluation"}
    for key in ("data.name", "privacy.epsilon", "federation.fraction", "training.discriminator_steps", "seed"):
        assert key in flatten(config.model_dump())
