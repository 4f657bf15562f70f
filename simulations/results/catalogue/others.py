"""Data sets with a row each: what ships with the package, chest X-rays, and people who drew characters."""

from __future__ import annotations

from simulations.results.row import Row, Table

TABLE = Table(
    "others",
    (
        Row("digits", "digits, 5 clients, epsilon 10 (the demo)", "digits.toml", images=5000),
        Row(
            "digits-warm-start",
            "the same without its rounds",
            "digits.toml",
            settings=("federation.rounds=0",),
            images=5000,
        ),
        Row("digits-real", "the digits' real training images", "digits.toml", real=True, images=5000),
        Row(
            "pneumonia",
            "PneumoniaMNIST, 4 clients, epsilon 10",
            "pneumonia.toml",
            data="pneumoniamnist/pneumoniamnist.npz",
            images=5000,
        ),
        Row(
            "pneumonia-rounds",
            "the same and 5 adversarial rounds",
            "pneumonia.toml",
            settings=("federation.rounds=5",),
            data="pneumoniamnist/pneumoniamnist.npz",
            images=5000,
        ),
        Row(
            "pneumonia-real",
            "PneumoniaMNIST's real training images",
            "pneumonia.toml",
            data="pneumoniamnist/pneumoniamnist.npz",
            real=True,
        ),
        Row(
            "omniglot",
            "Omniglot, 20 people who drew it, epsilon 10",
            "omniglot.toml",
            data="omniglot",
            images=5000,
        ),
        Row(
            "omniglot-rounds",
            "the same and 5 adversarial rounds",
            "omniglot.toml",
            settings=("federation.rounds=5",),
            data="omniglot",
            images=5000,
        ),
        Row("omniglot-real", "Omniglot's real training images", "omniglot.toml", data="omniglot", real=True),
    ),
)
