"""Published numbers that rows are compared with, each with its source and how its protocol differs from ours.

Ours, throughout: delta 1e-5, add/remove one record, a 2-conv CNN trained on 60,000 generated images for a fixed number
of epochs, tested on the real test set.
"""

from __future__ import annotations

from dataclasses import dataclass

DPDM_TABLE = (
    "Dockhorn et al. 2023 (DPDM, TMLR), table 1, as in assets/screenshot_table_one.png of nv-tlabs/DPDM at c412381"
)
BENCH_TABLE = "DPImageBench (CCS 2025), README, section 7"
SAME = "delta 1e-5, accuracy of a CNN, other architecture and training"
BENCH = "delta 1/(N ln N), mean of three deep networks, chosen on a noised private validation set"


@dataclass(frozen=True)
class Published:
    """One published accuracy on real test images of a classifier trained on synthetic ones.

    Attributes:
        method: its name, and what kind of model it is where that does not show.
        data: "fashion_mnist" or "mnist".
        epsilon: at delta of about 1e-5.
        accuracy: in [0, 1].
        source: where it was read.
        protocol: in what it differs from ours.
    """

    method: str
    data: str
    epsilon: float
    accuracy: float
    source: str
    protocol: str


def _dpdm(method: str, data: str, values: dict[float, float]) -> dict[str, Published]:
    return _named(method, data, values, DPDM_TABLE, SAME)


def _bench(method: str, data: str, values: dict[float, float]) -> dict[str, Published]:
    return _named(method, data, values, BENCH_TABLE, BENCH)


def _named(method: str, data: str, values: dict[float, float], source: str, protocol: str) -> dict[str, Published]:
    return {
        f"{method}/{data}/{epsilon:g}": Published(method, data, epsilon, accuracy, source, protocol)
        for epsilon, accuracy in values.items()
    }


_FASHION, _MNIST = "fashion_mnist", "mnist"

PUBLISHED: dict[str, Published] = {
    **_dpdm("DPDM (diffusion)", _FASHION, {10: 0.862, 1: 0.794, 0.2: 0.723}),
    **_dpdm("DP-Sinkhorn", _FASHION, {10: 0.711}),
    **_dpdm("GS-WGAN (GAN)", _FASHION, {10: 0.65}),
    **_dpdm("DP-MERF", _FASHION, {10: 0.754}),
    **_dpdm("PEARL", _FASHION, {10: 0.649, 1: 0.683}),
    **_dpdm("DPDM (diffusion)", _MNIST, {10: 0.981, 1: 0.953, 0.2: 0.863}),
    **_dpdm("DP-Sinkhorn", _MNIST, {10: 0.832}),
    **_dpdm("GS-WGAN (GAN)", _MNIST, {10: 0.80}),
    **_dpdm("DP-MERF", _MNIST, {10: 0.821}),
    **_dpdm("PEARL", _MNIST, {10: 0.788, 1: 0.782}),
    **_bench("DP-FETA (diffusion)", _FASHION, {10: 0.873, 1: 0.817}),
    **_bench("DP-GAN (GAN)", _FASHION, {10: 0.703, 1: 0.718}),
    **_bench("DP-FETA (diffusion)", _MNIST, {10: 0.981, 1: 0.956}),
    **_bench("DP-GAN (GAN)", _MNIST, {10: 0.927, 1: 0.924}),
    **_named(
        "Bie et al. (GAN)",
        _MNIST,
        {10: 0.950},
        "Bie, Kamath and Zhang 2023, arXiv:2302.02936, abstract",
        "delta 1e-5; a CNN of 1.2 million weights whose epoch is chosen on held-out synthetic images",
    ),
}
