"""Every table of docs/results.md, and its rows."""

from __future__ import annotations

from simulations.results.catalogue import ablation, clothes, digits, gpu, others
from simulations.results.row import Row, Table

TABLES: tuple[Table, ...] = (clothes.TABLE, digits.TABLE, others.TABLE, ablation.TABLE, gpu.TABLE)

ROWS: dict[str, Row] = {row.name: row for table in TABLES for row in table.rows}
"""Rows by name."""

GRIDS = (clothes.TABLE, digits.TABLE)
"""Tables whose samples are drawn side by side."""

CURVES = {"fashion_mnist": clothes.CENTRAL, "mnist": digits.CENTRAL}
"""Rows whose accuracy is drawn against epsilon, by data set."""
