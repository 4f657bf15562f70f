"""Renyi accounting (Mironov et al. 2019, arXiv:1908.10530), at dp_accounting's default orders."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from fedgan.privacy.accountant import ACCOUNTANTS


@ACCOUNTANTS.register("rdp")
def rdp(counts: Mapping[tuple[float, float], int], *, delta: float, coarse: bool) -> float:
    """Return an upper bound that is looser than `pld` (by some 5 to 15 % in training) and quick for any count."""
    from dp_accounting.rdp import RdpAccountant, compute_epsilon

    divergences = sum(count * _divergences(*mechanism) for mechanism, count in counts.items())
    return float(compute_epsilon(RdpAccountant().orders, divergences, delta)[0])


@lru_cache(maxsize=1024)
def _divergences(probability: float, noise: float) -> Any:
    """Return one mechanism's divergence at each order (read-only): n of them diverge n times as much."""
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
    from dp_accounting.rdp import RdpAccountant

    accountant = RdpAccountant()
    with _quiet():
        accountant.compose(PoissonSampledDpEvent(probability, GaussianDpEvent(noise)))
    divergences = accountant.rdp
    divergences.flags.writeable = False
    return divergences


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop absl's warnings about orders at which the series did not converge: leaving an order out is still valid."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
