"""PrivateGradient is the mechanism that the accountant is told about: (clipped sum + N(0, (z C)^2)) / expected rows.

The noise comes from a fixed seed here, so a statistical bound that holds once holds always; each is set at 5.7 standard
errors (1e-8 for a fresh seed).
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from fedgan.privacy.clipping import clipped_gradient_sum
from fedgan.privacy.gradient import PlainGradient, PrivateGradient
from fedgan.privacy.noise import SecureNoise, SeededNoise

pytestmark = pytest.mark.privacy

SIGMAS = 5.7
CLIP, Z, ROWS = 0.5, 1.7, 20.0


def model() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(40, 300), nn.Tanh(), nn.Linear(300, 1), nn.Flatten(0))


def batch(size: int) -> tuple[Tensor]:
    return (3 * torch.randn(size, 40, generator=torch.Generator().manual_seed(5)),)


def loss(logits: Tensor) -> Tensor:
    return 4 * logits.square() + 3 * logits


def flat(gradients: dict[str, Tensor]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients.values()]).double()


def private(noise_multiplier: float, seed: int = 0) -> PrivateGradient:
    return PrivateGradient(CLIP, noise_multiplier, ROWS, SeededNoise(seed))


def check_is_the_stated_noise(difference: Tensor) -> None:
    """`difference` must be N(0, (Z * CLIP / ROWS)^2) draws."""
    draws = difference / (Z * CLIP / ROWS)
    count = len(draws)
    assert abs(float(draws.mean())) < SIGMAS / math.sqrt(count)
    assert abs(float(draws.var()) - 1) < SIGMAS * math.sqrt(2 / count)
    assert abs(float((draws[:-1] * draws[1:]).mean())) < SIGMAS / math.sqrt(count)


@pytest.mark.parametrize("size", [0, 1, 13])
def test_adds_the_stated_noise_once_to_every_parameter(size: int) -> None:
    module, inputs = model(), batch(size)
    clean, noisy = private(0.0)(module, inputs, loss), private(Z)(module, inputs, loss)
    check_is_the_stated_noise(flat(noisy) - flat(clean))
    assert list(noisy) == [name for name, _ in module.named_parameters()]
    for name, gradient in noisy.items():
        assert bool((gradient != clean[name]).all()), f"{name} got no noise"


def test_noise_of_steps_and_of_parameters_is_independent() -> None:
    module, inputs = model(), batch(0)
    gradient = private(Z)
    first, second = gradient(module, inputs, loss), gradient(module, inputs, loss)
    check_is_the_stated_noise((flat(first) - flat(second)) / math.sqrt(2))
    bias, weights = first["0.bias"].double(), first["2.weight"].double().flatten()
    assert abs(float(torch.corrcoef(torch.stack([bias, weights]))[0, 1])) < SIGMAS / math.sqrt(300)


@pytest.mark.parametrize("size", [1, 7, 40])
def test_without_noise_it_is_the_clipped_sum_over_the_expected_rows(size: int) -> None:
    module, inputs = model(), batch(size)
    sums, norms = clipped_gradient_sum(module, inputs, loss, max_norm=CLIP)
    assert bool((norms > CLIP).all())  # clipping the sum in place of the samples would show
    found = private(0.0)(module, inputs, loss)
    torch.testing.assert_close(flat(found), flat(sums) / ROWS)
    directions = [
        flat(PlainGradient()(module, (inputs[0][i : i + 1],), loss)) for i in range(size)
    ]  # each is clipped alone
    expected = torch.stack([CLIP * g / g.norm() for g in directions]).sum(dim=0) / ROWS
    torch.testing.assert_close(flat(found), expected, rtol=1e-4, atol=1e-7)


def test_adding_a_record_moves_the_mean_by_at_most_clip_over_rows() -> None:
    module, inputs = model(), batch(30)
    with_it = flat(private(0.0)(module, inputs, loss))
    without = flat(private(0.0)(module, (inputs[0][:-1],), loss))
    assert float((with_it - without).norm()) == pytest.approx(CLIP / ROWS, rel=1e-4)


def test_secure_noise_makes_every_call_differ() -> None:
    module, inputs = model(), batch(4)
    gradient = PrivateGradient(CLIP, Z, ROWS, SecureNoise())
    torch.manual_seed(0)
    first = flat(gradient(module, inputs, loss))
    torch.manual_seed(0)
    assert not torch.equal(first, flat(gradient(module, inputs, loss)))


def test_neither_gradient_touches_grad() -> None:
    module, inputs = model(), batch(4)
    for gradient in (PlainGradient(), private(Z)):
        gradient(module, inputs, loss)
        assert all(parameter.grad is None for parameter in module.parameters())


def test_plain_gradient_is_the_mean() -> None:
    module, inputs = model(), batch(6)
    found = PlainGradient()(module, inputs, loss)
    loss(module(*inputs)).mean().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(found[name], parameter.grad)
    assert all(bool((value == 0).all()) for value in PlainGradient()(module, batch(0), loss).values())


def test_float64_models_keep_their_type() -> None:
    module, inputs = model().double(), (batch(3)[0].double(),)
    assert {value.dtype for value in private(Z)(module, inputs, loss).values()} == {torch.float64}


@pytest.mark.parametrize("microbatch", [0, 1, 3, 7, 100])
def test_microbatches_change_memory_alone(microbatch: int) -> None:
    module, inputs = model(), batch(7)
    for whole, parts in (
        (PlainGradient(), PlainGradient(microbatch=microbatch)),
        (private(0.0), PrivateGradient(CLIP, 0.0, ROWS, SeededNoise(0), microbatch=microbatch)),
    ):
        expected, found = flat(whole(module, inputs, loss)), flat(parts(module, inputs, loss))
        assert float((found - expected).norm() / expected.norm()) < 1e-6


@pytest.mark.parametrize(
    "gradient", [PlainGradient(microbatch=3), PrivateGradient(CLIP, 0.0, ROWS, SeededNoise(0), microbatch=3)]
)
def test_no_more_rows_pass_at_once_than_asked(gradient: PlainGradient | PrivateGradient) -> None:
    module, seen = model(), []
    gradient(module, batch(8), loss)  # a new module is tried on made-up rows first
    module.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    gradient(module, batch(8), loss)
    assert seen == [3, 3, 2]
