"""The closed list of mutants, one file for each theme; CONTRIBUTING.md says how to add one."""

from __future__ import annotations

from simulations.mutants.catalogue import (
    accounting,
    budget,
    clipping,
    ledger,
    mechanism,
    noise,
    releases,
    sampling,
    training,
    warm_start,
)
from simulations.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *noise.MUTANTS,
    *mechanism.MUTANTS,
    *clipping.MUTANTS,
    *sampling.MUTANTS,
    *training.MUTANTS,
    *warm_start.MUTANTS,
    *accounting.MUTANTS,
    *budget.MUTANTS,
    *ledger.MUTANTS,
    *releases.MUTANTS,
)
