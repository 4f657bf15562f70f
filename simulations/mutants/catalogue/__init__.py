"""The closed list of mutants, one file for each theme; CONTRIBUTING.md says how to add one."""

from __future__ import annotations

from simulations.mutants.catalogue import (
    accountants,
    accounting,
    attack,
    auxiliary,
    budget,
    clipping,
    layers,
    ledger,
    mechanism,
    noise,
    policy,
    privacy_losses,
    releases,
    sampling,
    training,
    trusted_server,
    warm_start,
    weights,
)
from simulations.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *noise.MUTANTS,
    *mechanism.MUTANTS,
    *clipping.MUTANTS,
    *layers.MUTANTS,
    *sampling.MUTANTS,
    *training.MUTANTS,
    *auxiliary.MUTANTS,
    *warm_start.MUTANTS,
    *trusted_server.MUTANTS,
    *weights.MUTANTS,
    *policy.MUTANTS,
    *accounting.MUTANTS,
    *accountants.MUTANTS,
    *privacy_losses.MUTANTS,
    *budget.MUTANTS,
    *ledger.MUTANTS,
    *releases.MUTANTS,
    *attack.MUTANTS,
)
