"""Mutation suite: privacy bugs planted one at a time, each of which must turn named tests red.

    python -m simulations.mutants [--only NAME …] [--json] [--jobs N] [--timeout SECONDS]

A test that guards a privacy claim is worth what it catches. For each mutant in `catalogue` the suite changes one text
in a copy of the sources, runs the tests that the mutant names, and wants every one of them to fail by its assertions.
"""
