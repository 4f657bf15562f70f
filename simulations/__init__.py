"""Benchmarks and experiments on fedgan; not part of the installed package."""
