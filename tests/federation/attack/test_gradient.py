"""Gradient canaries pass the private rule as records do, at exactly the clip, and leave no trace behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fedgan.federation.attack.gradient import CanaryGradient
from fedgan.losses import LOSSES, gan_loss
from fedgan.privacy.gradient import PlainGradient, PrivateGradient
from fedgan.privacy.noise import SeededNoise
from fedgan.training.critic import CopiesCritic
from fedgan.training.gan import Gan
from fedgan.training.rules import GradientRule

pytestmark = pytest.mark.privacy

CLASSES = 4
CLIP = 0.25
ROWS = 10.0


def rule(noise_multiplier: float = 0.0, engine: str = "book_keeping", seed: int = 0) -> PrivateGradient:
    return PrivateGradient(CLIP, noise_multiplier, ROWS, SeededNoise(seed), engine)


def watched(inner: GradientRule, seen: list[Tensor], directions: int = 5) -> CanaryGradient:
    return CanaryGradient(inner, directions=directions, num_classes=CLASSES, clip=CLIP, observe=seen.append)


def batch(codes: list[int]) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(3)
    return torch.rand((len(codes), 1, 8, 8), generator=rng) * 2 - 1, torch.tensor(codes)


def canary(direction: int, label: int = 0) -> int:
    return label + CLASSES * direction


@pytest.mark.parametrize("engine", ["book_keeping", "opacus"])
@pytest.mark.parametrize("loss", LOSSES.names())
def test_a_canary_adds_exactly_the_clip_in_its_own_direction(
    make_gan: Callable[..., Gan], loss: str, engine: str
) -> None:
    seen: list[Tensor] = []
    discriminator = make_gan().discriminator
    watched(rule(engine=engine), seen)(discriminator, batch([0, canary(2), 1, canary(5)]), LOSSES[loss].real)
    torch.testing.assert_close(seen[0], torch.tensor([0.0, 1.0, 0.0, 0.0, 1.0]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("weight", [0.5, 1e4])
@pytest.mark.parametrize("engine", ["book_keeping", "opacus"])
@pytest.mark.parametrize("loss", LOSSES.names())
def test_a_canary_does_so_beside_an_auxiliary_classifier(
    make_gan: Callable[..., Gan], loss: str, engine: str, weight: float
) -> None:
    """It pulls where the adversarial loss does, so that the two never cancel; 0.5 is a slope at 0."""
    seen: list[Tensor] = []
    critic, joint = (
        make_gan(auxiliary=True).critic,
        gan_loss(loss, penalty="none", penalty_weight=0.0, auxiliary_weight=weight),
    )
    rows = batch([0, canary(2, label=3), 1, canary(5)])
    with_them = watched(rule(engine=engine), seen)(critic, rows, joint.real)
    torch.testing.assert_close(seen[0], torch.tensor([0.0, 1.0, 0.0, 0.0, 1.0]), atol=1e-6, rtol=0)
    records = rows[1] < CLASSES
    alone = rule(engine=engine)(critic, (rows[0][records], rows[1][records]), joint.real)
    assert with_them.keys() == alone.keys()
    for name, gradient in alone.items():
        torch.testing.assert_close(with_them[name], gradient, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("loss", LOSSES.names())
def test_the_discriminators_gradient_is_that_of_the_records_alone(make_gan: Callable[..., Gan], loss: str) -> None:
    discriminator = make_gan().discriminator
    images, codes = batch([0, canary(2), 1, canary(5, label=3), 3])
    with_them = watched(rule(), [])(discriminator, (images, codes), LOSSES[loss].real)
    records = codes < CLASSES
    alone = rule()(discriminator, (images[records], codes[records]), LOSSES[loss].real)
    assert with_them.keys() == alone.keys()
    for name, gradient in alone.items():
        torch.testing.assert_close(with_them[name], gradient, atol=1e-7, rtol=1e-5)


def test_a_step_without_any_row_shows_noise_of_the_rules_own_size(make_gan: Callable[..., Gan]) -> None:
    """20,000 draws: the standard deviation is within 5.5 standard errors."""
    seen: list[Tensor] = []
    watched(rule(3.0), seen, directions=20_000)(make_gan().discriminator, batch([]), LOSSES["hinge"].real)
    assert float(seen[0].std()) == pytest.approx(3.0, abs=5.5 * 3.0 / 40_000**0.5)
    assert abs(float(seen[0].mean())) < 5.5 * 3.0 / 20_000**0.5


def test_without_privacy_a_canary_shows_all_the_more(make_gan: Callable[..., Gan]) -> None:
    seen: list[Tensor] = []
    watched(PlainGradient(), seen)(make_gan().discriminator, batch([0, canary(2)]), LOSSES["non_saturating"].real)
    assert seen[0].tolist() == pytest.approx([0, 250.0, 0, 0, 0])  # 1000 C * slope 1/2 over 2 rows, in units of C


def test_the_discriminator_itself_is_left_as_it_was(make_gan: Callable[..., Gan]) -> None:
    discriminator = make_gan().discriminator
    before = {name: value.clone() for name, value in discriminator.state_dict().items()}
    watched(rule(1.0), [])(discriminator, batch([0, canary(1)]), LOSSES["hinge"].real)
    assert discriminator.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in discriminator.state_dict().items())
    assert all(parameter.grad is None for parameter in discriminator.parameters())
    assert discriminator.training


def test_no_global_random_state_is_read_or_moved(make_gan: Callable[..., Gan]) -> None:
    discriminator = make_gan().discriminator
    state = torch.get_rng_state()
    watched(rule(1.0), [])(discriminator, batch([canary(1)]), LOSSES["hinge"].real)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_record_shown_several_times_leaves_canaries_at_the_clip(make_gan: Callable[..., Gan]) -> None:
    """Several copies of each row pass the critic, and every row still has one gradient, clipped once."""
    seen: list[Tensor] = []
    images, codes = batch([0, canary(1), canary(3), 1])
    copies = torch.stack([images, images.flip(-1)], dim=1)
    loss = LOSSES["non_saturating"].real
    watched(rule(), seen)(
        CopiesCritic(make_gan().discriminator), (copies, codes), lambda logits: loss(logits).mean(dim=1)
    )
    torch.testing.assert_close(seen[0], torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0]), rtol=0, atol=1e-4)
