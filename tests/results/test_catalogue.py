"""The rows: every one can be read, names its files, and stands for what its title says."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from fedgan.config import load_config
from simulations.results.catalogue import CURVES, ROWS, TABLES
from simulations.results.origin import ROOT
from simulations.results.published import PUBLISHED
from simulations.results.row import Row

NAMES = sorted(ROWS)


def test_names_are_unique_and_fit_into_file_names() -> None:
    names = [row.name for table in TABLES for row in table.rows]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert all(re.fullmatch(r"[a-z0-9_.-]+", name) for name in names)
    assert len({table.name for table in TABLES}) == len(TABLES)


@pytest.mark.parametrize("name", NAMES)
def test_the_configuration_of_a_row_loads(name: str) -> None:
    row = ROWS[name]
    config = load_config(ROOT / "configs" / row.config, row.overrides(3))
    assert (config.seed, config.device) == (3, "cuda" if row.gpu else "cpu")
    assert config.evaluation.count == row.images >= 5000
    assert bool(row.data) is (config.data.name != "digits")


@pytest.mark.parametrize("name", NAMES)
def test_published_numbers_of_a_row_are_about_its_data_and_budget(name: str) -> None:
    row = ROWS[name]
    config = load_config(ROOT / "configs" / row.config, row.settings)
    for one in (PUBLISHED[key] for key in row.published):
        assert (one.data, one.epsilon) == (config.data.name, config.privacy.epsilon)
        assert config.privacy.level == "record"


@pytest.mark.parametrize("data", ["fashion_mnist", "mnist"])
def test_the_grid_is_the_one_that_is_promised(data: str) -> None:
    found = set()
    for row in next(table for table in TABLES if table.name == data).rows:
        config = load_config(ROOT / "configs" / row.config, row.settings)
        assert config.data.name == data
        if not row.real:
            assert len(row.seeds) == (3 if data == "fashion_mnist" else 1)
            budget = config.privacy.epsilon if config.privacy.level == "record" else None
            alpha = config.partition.alpha if config.partition.scheme == "dirichlet" else None
            found.add((config.partition.clients, alpha, budget))
            assert (config.privacy.delta, config.privacy.trust) == (1e-5, "local")
    grid = {(1, None, 10.0), (1, None, 1.0), (1, None, 0.2), (10, None, 10.0), (10, None, 1.0), (10, 0.1, 10.0)}
    assert found == grid | {(10, 0.1, 1.0), (100, None, 10.0), (1, None, None)}


@pytest.mark.parametrize(("name", "settings"), [("iid-eps1", ()), ("central-eps0.2", ("privacy.epsilon=0.2",))])
def test_the_configuration_for_small_budgets_is_that_of_their_rows(name: str, settings: tuple[str, ...]) -> None:
    row = ROWS[f"fashion_mnist-{name}"]
    clients = () if name.startswith("iid") else ("partition.clients=1",)
    shipped = load_config(ROOT / "configs" / "fashion_mnist_small_budget.toml", [*settings, *clients])
    assert shipped == load_config(ROOT / "configs" / row.config, row.settings)


def test_curves_are_of_one_client() -> None:
    for data, rows in CURVES.items():
        assert [row.name for row in rows] == [f"{data}-central-eps{epsilon}" for epsilon in ("10", "1", "0.2")]


def test_every_published_number_has_a_source_and_says_how_its_protocol_differs() -> None:
    for one in PUBLISHED.values():
        assert 0.1 < one.accuracy < 1
        assert len(one.source) > 20
        assert len(one.protocol) > 20


def test_a_command_holds_everything_that_a_row_changes() -> None:
    row = Row("a", "A", "digits.toml", settings=("privacy.epsilon=1",), data="folder/file.npz")
    command = row.command(7)
    assert command.startswith("fedgan simulate configs/digits.toml --set privacy.epsilon=1 --set seed=7 ")
    assert command.endswith(" --set data.root=DATA/folder/file.npz")
