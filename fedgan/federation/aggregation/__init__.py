"""Aggregation rules, one a file, chosen by `federation.aggregation`."""

from fedgan.federation.aggregation.base import AGGREGATIONS, Aggregation

__all__ = ["AGGREGATIONS", "Aggregation"]
