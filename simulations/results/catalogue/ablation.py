"""What each part is worth: Fashion-MNIST, one client, epsilon 10, one part changed in each row."""

from __future__ import annotations

from simulations.results.row import Row, Table

_CENTRAL = ("partition.clients=1", "partition.scheme=iid", "privacy.epsilon=10")
_ROUNDS = (
    "federation.algorithm=dp_fedavg_gan",
    "federation.rounds=20",
    "federation.local_steps=20",
    "training.batch_size=1024",
    "training.discriminator_steps=5",
)


def _row(name: str, title: str, *settings: str) -> Row:
    return Row(f"ablation-{name}", title, "fashion_mnist.toml", (*_CENTRAL, *settings), data=".")


TABLE = Table(
    "ablation",
    (
        _row("warm-start", "warm start alone", "federation.rounds=0"),
        _row("adversarial", "adversarial rounds alone", *_ROUNDS, "training.warm_start=none"),
        _row("both", "both (the rows below change one thing in this one)", *_ROUNDS),
        _row("r1", "penalty R1", *_ROUNDS, "loss.penalty=r1"),
        _row("gradient-penalty", "gradient penalty", *_ROUNDS, "loss.penalty=gradient_penalty"),
        _row("no-ema", "without the moving average", *_ROUNDS, "training.ema_decay=0"),
        _row("anchor", "anchored to the warm start's embedding", *_ROUNDS, "training.anchor_weight=1"),
    ),
)
