"""FedProx: the gradient of mu/2 ||w - w_t||^2, outside the clip, at the client alone."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from fedgan.losses import LOSSES
from fedgan.privacy.gradient import PlainGradient, PrivateGradient
from fedgan.privacy.noise import SeededNoise
from fedgan.training.gan import Gan
from fedgan.training.local import (
    Optimisation,
    train_alternating,
    train_discriminator_steps,
    train_generator_steps,
)
from fedgan.training.proximal import Tie
from fedgan.training.steps import discriminator_step, generator_step
from fedgan.training.streams import stream

LOSS = LOSSES["non_saturating"]
MU, SHIFT, RATE = 0.7, 0.05, 0.1


def real(count: int) -> tuple[Tensor, Tensor]:
    images = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return images, torch.arange(count) % 4


def shifted(gan: Gan) -> tuple[Gan, dict[str, Tie]]:
    """Return a copy away from where its ties were made: every weight by SHIFT."""
    moved = deepcopy(gan)
    ties = {name: Tie(moved.network(name), MU) for name in ("generator", "discriminator")}
    with torch.no_grad():
        for name in ties:
            for parameter in moved.network(name).parameters():
                parameter += SHIFT
    return moved, ties


def weights(module: torch.nn.Module) -> Tensor:
    return torch.cat([value.detach().flatten() for value in module.parameters()]).double()


def discriminate(gan: Gan, count: int = 4, tie: Tie | None = None, gradient: Any = None) -> Tensor:
    before = weights(gan.discriminator)
    discriminator_step(
        gan,
        *real(count),
        fakes=6,
        loss=LOSS,
        gradient=gradient or PlainGradient(),
        optimizer=torch.optim.SGD(gan.discriminator.parameters(), lr=RATE),
        rng=stream(0, "step"),
        tie=tie,
    )
    return weights(gan.discriminator) - before


def private(noise_multiplier: float = 0.0, clip: float = 0.01) -> PrivateGradient:
    return PrivateGradient(
        clip=clip, noise_multiplier=noise_multiplier, expected_rows=10.0, noise=SeededNoise(0), engine="book_keeping"
    )


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_the_pull_is_the_gradient_of_the_squared_distance(gan: Gan, network: str) -> None:
    moved, ties = shifted(gan)
    starts = [value.detach() - SHIFT for value in moved.network(network).parameters()]
    squares = sum(
        ((value - start) ** 2).sum() for value, start in zip(moved.network(network).parameters(), starts, strict=True)
    )
    (MU / 2 * squares).backward()  # type: ignore[union-attr]
    wanted = [value.grad.clone() for value in moved.network(network).parameters()]
    for value in moved.network(network).parameters():
        value.grad = torch.zeros_like(value)
    ties[network].pull()
    for value, gradient in zip(moved.network(network).parameters(), wanted, strict=True):
        torch.testing.assert_close(value.grad, gradient, rtol=1e-4, atol=1e-6)


def test_a_discriminator_step_adds_the_pull(gan: Gan) -> None:
    moved, ties = shifted(gan)
    plain, tied = discriminate(deepcopy(moved)), discriminate(moved, tie=ties["discriminator"])
    torch.testing.assert_close(tied - plain, torch.full_like(plain, -RATE * MU * SHIFT), rtol=0, atol=1e-6)


def test_a_generator_step_adds_the_pull(gan: Gan) -> None:
    moved, ties = shifted(gan)
    ends = []
    for network, tie in ((deepcopy(moved), None), (moved, ties["generator"])):
        before = weights(network.generator)
        optimizer = torch.optim.SGD(network.generator.parameters(), lr=RATE)
        generator_step(network, batch_size=8, loss=LOSS, optimizer=optimizer, rng=stream(0, "step"), tie=tie)
        ends.append(weights(network.generator) - before)
    torch.testing.assert_close(ends[1] - ends[0], torch.full_like(ends[0], -RATE * MU * SHIFT), rtol=0, atol=1e-6)


# Under a guarantee


@pytest.mark.privacy
@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.parametrize("noise_multiplier", [0.0, 2.0])
def test_the_pull_comes_after_clip_and_noise_and_knows_no_record(gan: Gan, count: int, noise_multiplier: float) -> None:
    """With the same noise, a step with the tie differs from one without by -rate mu (w - w_t), whatever the batch."""
    moved, ties = shifted(gan)
    plain = discriminate(deepcopy(moved), count, gradient=private(noise_multiplier))
    tied = discriminate(moved, count, tie=ties["discriminator"], gradient=private(noise_multiplier))
    torch.testing.assert_close(tied - plain, torch.full_like(plain, -RATE * MU * SHIFT), rtol=0, atol=1e-6)


@pytest.mark.privacy
def test_a_record_moves_a_tied_step_by_at_most_the_clip_over_the_expected_rows(gan: Gan) -> None:
    images, labels = real(4)
    ends = []
    for left_out in (None, 0, 2, 3):
        kept = [row for row in range(4) if row != left_out]
        moved, ties = shifted(gan)
        discriminator_step(
            moved,
            images[kept],
            labels[kept],
            fakes=6,
            loss=LOSS,
            gradient=private(),
            optimizer=torch.optim.SGD(moved.discriminator.parameters(), lr=RATE),
            rng=stream(0, "step"),
            tie=ties["discriminator"],
        )
        ends.append(weights(moved.discriminator))
    for end in ends[1:]:  # every gradient is above so small a clip, so each record takes its full share
        assert float((ends[0] - end).norm()) == pytest.approx(RATE * 0.01 / 10, rel=0.01)


@pytest.mark.privacy
def test_what_is_clipped_is_the_same_with_and_without_a_tie(gan: Gan) -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    class Watched:
        def __call__(self, module: Any, inputs: tuple[Tensor, ...], loss: Callable[[Tensor], Tensor]) -> Any:
            seen.append((inputs[0], loss(module(*inputs)).detach()))
            return {name: torch.zeros_like(value) for name, value in module.named_parameters()}

    moved, ties = shifted(gan)
    discriminate(deepcopy(moved), gradient=Watched())
    discriminate(moved, tie=ties["discriminator"], gradient=Watched())
    for plain, tied in zip(*seen, strict=True):
        torch.testing.assert_close(plain, tied, rtol=0, atol=0)


# A client's round


def train(gan: Gan, optimisation: Optimisation, both: bool = True) -> None:
    settings: dict[str, Any] = {
        "steps": 6,
        "optimisation": optimisation,
        "loss": LOSS,
        "gradient": PlainGradient(),
        "rng": stream(0, "round"),
    }
    if both:
        train_alternating(gan, lambda: real(8), first_step=0, discriminator_steps=1, **settings)
    else:
        train_discriminator_steps(gan, lambda: real(8), **settings)


@pytest.mark.parametrize("both", [True, False])
def test_a_strong_tie_keeps_a_client_near_what_it_was_sent(gan: Gan, optimisation: Optimisation, both: bool) -> None:
    distances: dict[str, list[float]] = {"generator": [], "discriminator": []}
    for proximal in (0.0, 1e4):
        moved = deepcopy(gan)
        train(moved, replace(optimisation, proximal=proximal), both)
        for name, found in distances.items():
            found.append(float((weights(moved.network(name)) - weights(gan.network(name))).norm()))
    for name, (free, tied) in distances.items():
        assert tied < 0.7 * free if both or name == "discriminator" else tied == free == 0


def test_no_tie_is_what_there_was_before(gan: Gan, optimisation: Optimisation) -> None:
    moved, again = deepcopy(gan), deepcopy(gan)
    train(moved, optimisation)
    train(again, replace(optimisation, proximal=0.0))
    assert torch.equal(weights(moved.discriminator), weights(again.discriminator))
    assert Tie(gan.discriminator, 0.0)._pairs == []


def test_generator_steps_at_the_server_are_free(gan: Gan, optimisation: Optimisation) -> None:
    ends = []
    for proximal in (0.0, 1e4):
        moved = deepcopy(gan)
        train_generator_steps(
            moved,
            steps=3,
            optimisation=replace(optimisation, proximal=proximal),
            optimizer=optimisation.for_generator(moved),
            loss=LOSS,
            rng=stream(0, "round"),
        )
        ends.append(weights(moved.generator))
    assert torch.equal(*ends)
