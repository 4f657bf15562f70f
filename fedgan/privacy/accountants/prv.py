"""Accounting by privacy random variables (Gopi et al. 2021, arXiv:2106.02848), with the authors' own implementation.

It discretises without rounding up, so its estimate can lie on either side of the truth, and returns an interval that
holds it: what is taken here is the upper end. It analyses the removal of a record only. For one sampled Gaussian that
is the worse direction; that it stays so where many are composed is not proven (Lebeda, Regehr, Kamath and Steinke 2024,
arXiv:2405.20769, show mechanisms for which it does not), so `pld`, the default, computes both and takes the larger.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from fedgan.privacy.accountant import ACCOUNTANTS, INTERVALS

_ERROR = 0.01
_COARSE_ERROR = 0.05
_DELTA_ERROR = 1e-3  # relative to delta
_GRID_POINTS = 6_000_000  # 340 bytes each at its peak, so 2 GiB


@ACCOUNTANTS.register("prv")
def prv(counts: Mapping[tuple[float, float], int], *, delta: float, coarse: bool) -> float:
    """Return the upper end of an interval around epsilon, about 0.01 above the estimate.

    Where epsilon is in the hundreds or `delta` so small that a grid cannot hold the loss, it is the bound of `rdp`.
    """
    ends = _ends(counts, delta, _COARSE_ERROR if coarse else _ERROR)
    return ends[1] if ends else ACCOUNTANTS["rdp"](counts, delta=delta, coarse=coarse)


def prv_interval(counts: Mapping[tuple[float, float], int], *, delta: float) -> tuple[float, float] | None:
    """Return both ends of the interval, or None where `prv` returns another accountant's bound."""
    return _ends(counts, delta, _ERROR)


INTERVALS["prv"] = prv_interval


def _ends(counts: Mapping[tuple[float, float], int], delta: float, error: float) -> tuple[float, float] | None:
    if _points(counts, delta, error) > _GRID_POINTS:
        return None
    try:
        return _computed(counts, delta, error)
    except (RuntimeError, ValueError, AssertionError):  # it found its grid too coarse for what it was given
        return None


def _computed(counts: Mapping[tuple[float, float], int], delta: float, error: float) -> tuple[float, float]:
    from prv_accountant import PRVAccountant

    mechanisms, times = zip(*sorted(counts.items()), strict=True)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # logarithms of 0 far from where the loss lies
        accountant = PRVAccountant(
            prvs=[_variable(*mechanism) for mechanism in mechanisms],
            max_self_compositions=list(times),
            eps_error=error,
            delta_error=_DELTA_ERROR * delta,
        )
        lower, _, upper = accountant.compute_epsilon(delta, list(times))
    if not (math.isfinite(lower) and math.isfinite(upper)):
        raise ValueError("no finite epsilon on this grid")
    return float(lower), float(upper)


def _variable(probability: float, noise: float) -> Any:
    from prv_accountant import GaussianMechanism, PoissonSubsampledGaussianMechanism

    if probability == 1.0:
        return GaussianMechanism(noise)
    return PoissonSubsampledGaussianMechanism(sampling_probability=probability, noise_multiplier=noise)


def _points(counts: Mapping[tuple[float, float], int], delta: float, error: float) -> float:
    """Estimate the size of the grid: theorem 5.5 for its mesh, remark 5.6 for its width."""
    total = sum(counts.values())
    mesh = error / math.sqrt(total / 2 * math.log(12 / (_DELTA_ERROR * delta)))
    return 2 * (ACCOUNTANTS["rdp"](counts, delta=_DELTA_ERROR * delta / 4, coarse=True) + 3) / mesh
