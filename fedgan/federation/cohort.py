"""Which clients are asked in a round, so that no client is asked more often than its budget was planned for."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from fedgan.seeding import derive_seed


def cohort_size(clients: int, fraction: float) -> int:
    """Return how many of `clients` are asked in a round: at least one, `fraction` in (0, 1]."""
    return max(1, round(clients * fraction))


def participations(clients: int, fraction: float, rounds: int) -> int:
    """Return the most rounds out of `rounds` in which `cohorts` asks any one client."""
    return ceil(rounds * cohort_size(clients, fraction) / clients)


def absentees(clients: Sequence[str], absence: float, round_number: int, seed: int) -> set[str]:
    """Return who of all `clients`, in order, does not answer in a simulated round: each by a public coin."""
    coins = np.random.default_rng(derive_seed(seed, "absence", round_number)).random(len(clients))
    return {client for client, coin in zip(clients, coins, strict=True) if coin < absence}


def cohorts(clients: Sequence[str], fraction: float, rounds: int, seed: int) -> list[list[str]]:
    """Return the clients of every round, sorted by name.

    Rounds consume one random order of all clients after another. Where an order ends inside a round, the next one
    begins with clients that this round does not have yet, so nobody is asked twice in a round, and after any number of
    rounds two clients' turns differ by at most one. This claims no privacy amplification.
    """
    size = cohort_size(len(clients), fraction)
    rng = np.random.default_rng(derive_seed(seed, "cohorts"))
    waiting: list[str] = []
    result: list[list[str]] = []
    for _ in range(rounds):
        cohort = waiting[:size]
        waiting = waiting[size:]
        if len(cohort) < size:
            order = [clients[index] for index in rng.permutation(len(clients))]
            fresh = [client for client in order if client not in cohort]
            missing = size - len(cohort)
            waiting = [client for client in order if client not in fresh[:missing]]
            cohort = cohort + fresh[:missing]
        result.append(sorted(cohort))
    return result
