"""Federated training of generative adversarial networks with differential privacy."""

__version__ = "0.1.0"
