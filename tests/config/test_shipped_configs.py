"""Every file in configs/ loads, names things that exist, and begins with the command that runs it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from fedgan.config import Config, flatten, load_config
from fedgan.registry import Registry

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "configs").glob("*.toml"))


def registries() -> list[Registry[object]]:
    from fedgan.data.registry import DATASETS, PARTITIONS
    from fedgan.federation.aggregation import AGGREGATIONS
    from fedgan.federation.algorithms import ALGORITHMS
    from fedgan.federation.server_optimizers import SERVER_OPTIMIZERS
    from fedgan.losses import LOSSES, PENALTIES
    from fedgan.models.registry import MODELS
    from fedgan.privacy.clipping import ENGINES

    federated = [AGGREGATIONS, ALGORITHMS, SERVER_OPTIMIZERS]
    return [DATASETS, PARTITIONS, *federated, LOSSES, PENALTIES, MODELS, ENGINES]  # type: ignore[list-item]


def test_there_is_one_to_begin_with() -> None:
    assert ROOT / "configs" / "digits.toml" in FILES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_loads_and_every_name_in_it_exists(file: Path) -> None:
    from fedgan.evaluation import METRICS

    flat = flatten(load_config(file).model_dump())
    for registry in registries():
        assert flat[registry.key] in registry.names()
    assert set(flat["evaluation.metrics"].split(",")) <= set(METRICS.names())  # type: ignore[union-attr]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_its_comment_holds_the_command_that_runs_it(file: Path) -> None:
    comment = re.match(r"(#.*\n)+", file.read_text(encoding="utf-8"))
    assert comment is not None, "the file does not begin with a comment"
    commands = [line[1:].split() for line in comment.group().splitlines() if line[1:].strip().startswith("fedgan ")]
    assert commands, "no line of the first comment is a command"
    words = shlex.split(" ".join(commands[0]))
    assert words[1:3] == ["simulate", f"configs/{file.name}"]
    overrides = [words[index + 1] for index, word in enumerate(words) if word == "--set"]
    load_config(file, overrides)


def test_defaults_name_things_that_exist() -> None:
    flat = flatten(Config().model_dump())
    for registry in registries():
        assert flat[registry.key] in registry.names()
