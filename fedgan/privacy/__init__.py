"""Privacy: what is planned, what is spent, and how a gradient is made private.

The modules `plan`, `events`, `accounting`, `ledger` and `budget` import no torch, so this package imports nothing.
"""
