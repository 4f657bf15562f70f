"""The closed list of mutants, one file for each theme; CONTRIBUTING.md says how to add one."""

from __future__ import annotations

from simulations.mutants.catalogue import (
    accounting,
    attack,
    auxiliary,
    budget,
    clipping,
    ledger,
    mechanism,
    noise,
    privacy_losses,
    releases,
    sampling,
    training,
    trusted_server,
    warm_start,
)
from simulations.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *noise.MUTANTS,
    *mechanism.MUTANTS,
    *clipping.MUTANTS,
    *sampling.MUTANTS,
    *training.MUTANTS,
    *auxiliary.MUTANTS,
    *warm_start.MUTANTS,
    *trusted_server.MUTANTS,
    *accounting.MUTANTS,
    *privacy_losses.MUTANTS,
    *budget.MUTANTS,
    *ledger.MUTANTS,
    *releases.MUTANTS,
    *attack.MUTANTS,
)
