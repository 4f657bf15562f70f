"""MNIST: one seed a row."""

from __future__ import annotations

from simulations.results.catalogue.grid import rows
from simulations.results.row import Table

TABLE = Table("mnist", rows("mnist", (0,), {}))

CENTRAL = tuple(row for row in TABLE.rows if "-central-eps" in row.name)
