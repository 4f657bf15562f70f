"""Accounting by privacy random variables (Gopi et al. 2021, arXiv:2106.02848), with Opacus' implementation.

Opacus discretises without rounding up, so its estimate can lie on either side of the truth; what is returned is its
upper end, estimate plus error (0.01 in epsilon and delta / 1000 in delta). It analyses the removal of a record only,
which is the worse direction for the epsilons of training. Needs torch, which Opacus imports.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np

from fedgan.errors import UsageError
from fedgan.privacy.accountant import ACCOUNTANTS

_ERROR = 0.01
_COARSE_ERROR = 0.05


@ACCOUNTANTS.register("prv")
def prv(counts: Mapping[tuple[float, float], int], *, delta: float, coarse: bool) -> float:
    """Return the upper end of the error interval around epsilon; UsageError where Opacus cannot compute it."""
    from opacus.accountants import PRVAccountant

    accountant = PRVAccountant()
    accountant.history = [(noise, probability, count) for (probability, noise), count in sorted(counts.items())]
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Optimal order is")  # about the width of the grid only
            return float(accountant.get_epsilon(delta, eps_error=_COARSE_ERROR if coarse else _ERROR))
    except (RuntimeError, ValueError, MemoryError) as error:
        raise UsageError(f"privacy.accountant = 'prv' cannot account for this ({error}): use 'pld'") from error
