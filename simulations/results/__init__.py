"""The tables of docs/results.md: rows as data, one JSON file for each run, and the pages made of these files.

    python -m simulations.results list
    python -m simulations.results run ROW [--seed S] [--data DIR]
    python -m simulations.results table

`run` trains a row's configuration, evaluates it by the protocol of the tables, and writes docs/results/ROW.seed-S.json
with a PNG of samples beside it. `list` says too which records are of a configuration that their row has no more.
`table` (or `make results`) writes tables and plots from all such files.
"""
