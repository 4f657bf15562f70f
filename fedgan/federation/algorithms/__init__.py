"""Federated GAN algorithms, one a file, chosen by `federation.algorithm`."""

from fedgan.federation.algorithms.base import ALGORITHMS, Algorithm, ClientResult, ClientRound, ServerRound

__all__ = ["ALGORITHMS", "Algorithm", "ClientResult", "ClientRound", "ServerRound"]
