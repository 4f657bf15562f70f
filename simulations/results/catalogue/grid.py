"""The rows that Fashion-MNIST and MNIST share: central and federated, at three budgets, and without privacy."""

from __future__ import annotations

from simulations.results.published import PUBLISHED
from simulations.results.row import Row

SETTINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "central": ("1 client", ("partition.clients=1", "partition.scheme=iid")),
    "iid": ("10 clients", ("partition.clients=10", "partition.scheme=iid")),
    "dirichlet": (
        "10 clients, Dirichlet 0.1",
        ("partition.clients=10", "partition.scheme=dirichlet", "partition.alpha=0.1"),
    ),
    "hundred": ("100 clients", ("partition.clients=100", "partition.scheme=iid")),
}
"""By name: what a row's title calls it, and its overrides."""

SMALL_BUDGET = (
    "training.warm_start_shading=0.4",
    "training.warm_start_refinement_family=windows",
    "training.warm_start_learning_rate=0.01",
    "training.warm_start_batch_size=500",
)
"""What changes where noise leaves local moments three cells a class, at epsilon 0.2 and, with several clients, at
epsilon 1: over half of the precision goes to features of images and windows, which means and factors are fitted to as
well, and there is more shading. It did better on held-out training images of Fashion-MNIST (docs/warm-start.md)."""


def rows(data: str, seeds: tuple[int, ...], aims: dict[tuple[str, float], str]) -> tuple[Row, ...]:
    """Return the grid's rows for the data set `data`, whose configuration is configs/DATA.toml.

    Args:
        data: "fashion_mnist" or "mnist".
        seeds: of every row's runs.
        aims: the accuracy aimed at, by setting and epsilon (infinite without privacy).
    """
    config = f"{data}.toml"
    budgets = [("central", 10.0), ("central", 1.0), ("central", 0.2)]
    budgets += [("iid", 10.0), ("iid", 1.0), ("dirichlet", 10.0), ("dirichlet", 1.0), ("hundred", 10.0)]
    private = [
        Row(
            name=f"{data}-{setting}-eps{epsilon:g}",
            title=f"{SETTINGS[setting][0]}, epsilon {epsilon:g}",
            config=config,
            settings=(
                *SETTINGS[setting][1],
                f"privacy.epsilon={epsilon:g}",
                *(SMALL_BUDGET if epsilon < 1 or (epsilon == 1 and setting != "central") else ()),
            ),
            data=".",
            seeds=seeds,
            published=_published(data, epsilon) if setting == "central" else (),
            aim=aims.get((setting, epsilon), ""),
        )
        for setting, epsilon in budgets
    ]
    free = Row(
        name=f"{data}-central-no-privacy",
        title="1 client, no privacy",
        config=config,
        settings=(*SETTINGS["central"][1], "privacy.level=none"),
        data=".",
        seeds=seeds,
        aim=aims.get(("central", float("inf")), ""),
    )
    real = Row(
        name=f"{data}-real",
        title="real training images in place of generated ones",
        config=config,
        data=".",
        real=True,
    )
    return (*private, free, real)


def _published(data: str, epsilon: float) -> tuple[str, ...]:
    """Return the names of what is published for `data` at `epsilon`, the best first."""
    names = [name for name, one in PUBLISHED.items() if (one.data, one.epsilon) == (data, epsilon)]
    return tuple(sorted(names, key=lambda name: -PUBLISHED[name].accuracy)[:3])
