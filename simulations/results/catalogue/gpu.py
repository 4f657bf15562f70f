"""The adversarial recipe at the scale of the papers, for one GPU."""

from __future__ import annotations

from simulations.results.catalogue.grid import SETTINGS
from simulations.results.row import Row, Table

_ROUNDS = tuple(
    Row(
        name=f"{data}-gpu-{setting}-eps{epsilon:g}",
        title=f"{title}, {SETTINGS[setting][0]}, epsilon {epsilon:g}",
        config=f"{data}_gpu.toml",
        settings=(*SETTINGS[setting][1], f"privacy.epsilon={epsilon:g}"),
        data=".",
        gpu=True,
    )
    for data, title in (("fashion_mnist", "Fashion-MNIST"), ("mnist", "MNIST"))
    for setting, epsilon in (("central", 10.0), ("central", 1.0), ("iid", 10.0))
)
_WARM_START = Row(
    name="fashion_mnist-gpu-warm-start-eps10",
    title="Fashion-MNIST, 1 client, epsilon 10, the warm start alone, with all of epsilon",
    config="fashion_mnist_gpu.toml",
    settings=(*SETTINGS["central"][1], "privacy.epsilon=10", "federation.rounds=0"),
    data=".",
    gpu=True,
)
_MIXTURE = Row(
    name="fashion_mnist-gpu-mixture-eps10",
    title="Fashion-MNIST, 1 client, epsilon 10, the mixture of the tables above and as many steps of a perceptron",
    config="fashion_mnist_gpu.toml",
    settings=(
        *SETTINGS["central"][1],
        "privacy.epsilon=10",
        "model.name=mixture",
        "model.latent_dim=17",
        "model.width=15",
        "training.warm_start=mixture",
        "training.warm_start_refinement=true",
        "training.warm_start_steps=600",
        "training.warm_start_batch_size=250",
    ),
    data=".",
    gpu=True,
)
TABLE = Table("gpu", (_WARM_START, _MIXTURE, *_ROUNDS))
