"""Aggregation rules, one a file, chosen by `federation.aggregation`."""

from fedgan.federation.aggregation.base import AGGREGATIONS, USUAL, Aggregation, Assumptions

__all__ = ["AGGREGATIONS", "USUAL", "Aggregation", "Assumptions"]
