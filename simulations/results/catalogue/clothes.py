"""Fashion-MNIST: three seeds a row."""

from __future__ import annotations

from simulations.results.catalogue.grid import rows
from simulations.results.row import Table

_AIMS = {
    ("central", 10.0): "0.84, better 0.875",
    ("central", 1.0): "0.82, better 0.84",
    ("central", 0.2): "0.79, better 0.81",
    ("iid", 10.0): "0.83",
    ("iid", 1.0): "0.80",
    ("dirichlet", 10.0): "0.82",
    ("dirichlet", 1.0): "0.78",
    ("hundred", 10.0): "0.79",
    ("central", float("inf")): "0.97 of the last row",
}

TABLE = Table("fashion_mnist", rows("fashion_mnist", (0, 1, 2), _AIMS))

CENTRAL = tuple(row for row in TABLE.rows if "-central-eps" in row.name)
