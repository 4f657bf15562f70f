"""Clients that hold random samples of the same data, each seen in its own way (`partition.skew`)."""

from __future__ import annotations

from fedgan.data.partitions.iid import iid
from fedgan.data.registry import PARTITIONS

PARTITIONS.register("feature_skew")(iid)
