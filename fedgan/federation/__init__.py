"""Federated training: vaults, algorithms, aggregation, and the engines that carry messages between them."""

import os

# Our users' machines phone nobody: read by flwr and Ray when they are imported.
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
