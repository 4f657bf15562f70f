"""What is written reads back equal, whatever the values."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fedgan.config import Config, config_from_flat, flatten, load_config, to_toml

TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20)
POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
PART = st.floats(min_value=0, max_value=1, exclude_min=True, exclude_max=True)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 2**31 - 1),
        "device": st.sampled_from(["auto", "cpu", "cuda"]),
        "data.name": TEXT,
        "data.root": TEXT,
        "model.width": st.integers(min_value=0),
        "training.discriminator_steps": st.just("adaptive") | st.integers(min_value=1),
        "training.beta1": PART,
        "federation.fraction": PART | st.just(1),
        "federation.time_limit": POSITIVE | st.integers(min_value=0, max_value=10**9),
        "privacy.epsilon": POSITIVE,
        "privacy.delta": PART,
        "privacy.ledgers": TEXT,
        "evaluation.metrics": TEXT,
    },
)


@settings(deadline=None)
@given(CHANGES)
def test_written_and_read_back_it_is_equal(changes: dict[str, Any]) -> None:
    config = config_from_flat(changes)
    assert config_from_flat(flatten(tomllib.loads(to_toml(config)))) == config
    assert {key: flatten(config.model_dump())[key] for key in changes} == changes


@settings(deadline=None)
@given(CHANGES)
def test_each_written_line_is_an_override(changes: dict[str, Any]) -> None:
    config = config_from_flat(changes)
    table, overrides = "", []
    for line in to_toml(config).splitlines():
        if line.startswith("["):
            table = line.strip("[]") + "."
        elif line:
            overrides.append(table + line)
    assert load_config(None, overrides) == config


def test_every_default_is_written_out(tmp_path: Path) -> None:
    text = to_toml(Config())
    assert flatten(tomllib.loads(text)) == flatten(Config().model_dump())
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    assert load_config(tmp_path / "config.toml") == Config()
