import sys

import numpy as np
import pytest
from PIL import Image

from fedgan.report.budget_curve import budget_curve
from fedgan.report.partition_picture import partition_picture


def counts(clients, classes, seed=0):
    return np.random.default_rng(seed).integers(0, 50, (clients, classes))


def size(path):
    with Image.open(path) as image:
        image.verify()
        assert image.format == "PNG"
        return image.size


@pytest.mark.parametrize(("clients", "classes"), [(1, 1), (5, 10), (20, 964), (100, 10)])
def test_partitions_of_any_size_fit_a_sheet(tmp_path, clients, classes):
    partition_picture(counts(clients, classes) + 1, tmp_path / "partition.png")
    width, height = size(tmp_path / "partition.png")
    assert 800 <= width <= 1400
    assert 300 <= height <= 1900


def test_more_clients_get_a_taller_picture(tmp_path):
    heights = []
    for clients in (5, 12, 100):
        partition_picture(counts(clients, 10), tmp_path / "partition.png")
        heights.append(size(tmp_path / "partition.png")[1])
    assert heights == sorted(set(heights))


def test_one_record_does_not_look_like_none(tmp_path):
    table = np.full((20, 2), 40)
    table[10:, 0] = 0
    partition_picture(table, tmp_path / "none.png")
    table[10:, 0] = 1
    partition_picture(table, tmp_path / "one.png")
    none, one = (np.asarray(Image.open(tmp_path / name).convert("RGB")) for name in ("none.png", "one.png"))
    # Half of a column is a good part of the picture: white where there is none, visibly blue where there is one.
    white_none, white_one = ((picture == 255).all(axis=2).mean() for picture in (none, one))
    assert white_none - white_one > 0.05


def test_equal_tables_give_equal_bytes_and_no_half_file_is_left(tmp_path):
    for name in ("a.png", "b.png"):
        partition_picture(counts(5, 10), tmp_path / "pictures" / name)
        partition_picture(counts(5, 10), tmp_path / "pictures" / name)
    assert (tmp_path / "pictures/a.png").read_bytes() == (tmp_path / "pictures/b.png").read_bytes()
    assert sorted(file.name for file in (tmp_path / "pictures").iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize("clients", [0, 1, 8, 9, 100])
def test_budgets_of_any_number_of_clients_are_drawn(tmp_path, clients):
    epsilons = {f"{client:05d}": [1.0, 2.0, 3.0][: 1 + client % 3] for client in range(clients)}
    budget_curve(epsilons, tmp_path / "budget.png", limit=10)
    assert size(tmp_path / "budget.png") == (910, 494)


def test_the_limit_and_the_spending_change_the_picture(tmp_path):
    budget_curve({"00000": [1, 2]}, tmp_path / "a.png")
    budget_curve({"00000": [1, 2]}, tmp_path / "b.png", limit=4)
    budget_curve({"00000": [1, 3]}, tmp_path / "c.png", limit=4)
    assert len({(tmp_path / name).read_bytes() for name in ("a.png", "b.png", "c.png")}) == 3


def test_infinite_epsilons_leave_a_gap_instead_of_failing(tmp_path):
    budget_curve({"00000": [float("inf")] * 3, "00001": [1.0, 2.0, 3.0]}, tmp_path / "budget.png")
    assert size(tmp_path / "budget.png") == (910, 494)


def test_no_global_pyplot_state_is_used(tmp_path):
    loaded = "matplotlib.pyplot" in sys.modules
    partition_picture(counts(5, 10), tmp_path / "partition.png")
    budget_curve({"00000": [1.0]}, tmp_path / "budget.png")
    assert ("matplotlib.pyplot" in sys.modules) is loaded
