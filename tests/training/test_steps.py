"""One step of each network, against gradients worked out by hand, and with nothing left behind."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fedgan.losses import LOSSES, gan_loss
from fedgan.privacy.gradient import PlainGradient, PrivateGradient
from fedgan.privacy.noise import SeededNoise
from fedgan.training.gan import Gan
from fedgan.training.steps import discriminator_step, generator_step
from fedgan.training.streams import stream

LOSS = LOSSES["non_saturating"]


def real(count: int, label: int = 1) -> tuple[Tensor, Tensor]:
    images = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return images, torch.full((count,), label)


def sgd(module: nn.Module, rate: float = 0.1) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.parameters(), lr=rate)


class Watched:
    """A gradient rule that keeps its arguments and returns ones."""

    def __init__(self) -> None:
        self.inputs: tuple[Tensor, ...] = ()
        self.losses = torch.empty(0)
        self.calls = 0

    def __call__(
        self, module: nn.Module, inputs: tuple[Tensor, ...], loss: Callable[[Tensor], Tensor]
    ) -> Mapping[str, Tensor]:
        self.calls += 1
        self.inputs = inputs
        self.losses = loss(module(*inputs)).detach()
        return {name: torch.ones_like(value) for name, value in module.named_parameters()}


def step(gan: Gan, images: Tensor, labels: Tensor, **changes: Any) -> None:
    settings: dict[str, Any] = {
        "fakes": 6,
        "loss": LOSS,
        "gradient": PlainGradient(),
        "optimizer": sgd(gan.discriminator),
        "rng": stream(0, "step"),
        **changes,
    }
    discriminator_step(gan, images, labels, **settings)


# Discriminator


def test_the_discriminators_step_is_gradient_descent_on_the_mean_loss(gan: Gan) -> None:
    expected = deepcopy(gan.discriminator)
    images, labels = real(5)
    gan.generator.eval()
    with torch.no_grad():
        fake_images, fake_labels = gan.fakes(6, stream(0, "step"))
    rows = torch.cat([LOSS.real(expected(images, labels)), LOSS.fake(expected(fake_images, fake_labels))])
    rows.mean().backward()
    step(gan, images, labels)
    for name, parameter in expected.named_parameters():
        assert parameter.grad is not None
        found = gan.discriminator.get_parameter(name)
        torch.testing.assert_close(found, parameter - 0.1 * parameter.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_real_and_generated_rows_stay_rows_of_their_own(gan: Gan, count: int) -> None:
    watched, images, labels = Watched(), *real(count)
    expected = deepcopy(gan)
    step(gan, images, labels, gradient=watched)
    expected.generator.eval()
    with torch.no_grad():
        fake_images, fake_labels = expected.fakes(6, stream(0, "step"))
        losses = torch.cat(
            [
                LOSS.real(expected.discriminator(images, labels)),
                LOSS.fake(expected.discriminator(fake_images, fake_labels)),
            ]
        )
    assert watched.losses.shape == (count + 6,)
    torch.testing.assert_close(watched.losses, losses)
    assert torch.equal(watched.inputs[1], torch.cat([labels, fake_labels]))


def test_the_discriminators_step_leaves_no_gradient(gan: Gan) -> None:
    before = deepcopy(gan.generator.state_dict())
    step(gan, *real(5))
    for parameter in [*gan.discriminator.parameters(), *gan.generator.parameters()]:
        assert parameter.grad is None
    assert all(torch.equal(before[name], tensor) for name, tensor in gan.generator.state_dict().items())


@pytest.mark.privacy
def test_generated_labels_are_uniform_and_do_not_follow_the_private_ones(gan: Gan) -> None:
    counts, fakes = [], 4000
    for label in (0, 3):
        watched = Watched()
        step(gan, *real(50, label), fakes=fakes, gradient=watched)
        counts.append(torch.bincount(watched.inputs[1][50:], minlength=4))
    assert torch.equal(*counts)
    assert int(counts[0].sum()) == fakes
    error = math.sqrt(fakes * 0.25 * 0.75)
    assert bool(((counts[0] - fakes / 4).abs() < 5 * error).all())


@pytest.mark.privacy
@pytest.mark.parametrize("count", [0, 1, 40])
def test_the_number_of_generated_rows_does_not_follow_the_batch(gan: Gan, count: int) -> None:
    watched = Watched()
    step(gan, *real(count), gradient=watched)
    assert len(watched.inputs[0]) - count == 6


@pytest.mark.privacy
def test_a_rows_loss_does_not_depend_on_the_other_records(gan: Gan) -> None:
    """Rows scaled by the size of the batch would change with every record, and clipping would bound nobody."""
    images, labels = real(5)
    many, one = Watched(), Watched()
    step(deepcopy(gan), images, labels, gradient=many)
    step(deepcopy(gan), images[:1], labels[:1], gradient=one)
    torch.testing.assert_close(many.losses[:1], one.losses[:1], rtol=1e-6, atol=0)
    torch.testing.assert_close(many.losses[5:], one.losses[1:], rtol=1e-6, atol=0)


@pytest.mark.privacy
def test_a_batch_meets_the_mechanism_once(gan: Gan) -> None:
    """Two noisy answers about one batch cost more than the one that is charged."""
    watched = Watched()
    step(gan, *real(5), gradient=watched)
    assert (watched.calls, len(watched.inputs[0])) == (1, 5 + 6)


@pytest.mark.privacy
@pytest.mark.parametrize("count", [0, 5])
def test_generated_rows_are_clipped_as_records_are(gan: Gan, count: int) -> None:
    """Left as they are, their gradients would drown those of the records, and tempt to clip both in pairs."""
    before = deepcopy(gan.discriminator.state_dict())
    gradient = PrivateGradient(clip=1e-4, noise_multiplier=0.0, expected_rows=1, noise=SeededNoise(0))
    step(gan, *real(count), gradient=gradient, optimizer=sgd(gan.discriminator, rate=1.0))
    moved = [(tensor - before[name]).flatten() for name, tensor in gan.discriminator.state_dict().items()]
    length = float(torch.cat(moved).norm())
    assert 1e-4 < length <= 1e-4 * (count + 6) * (1 + 1e-3)


@pytest.mark.privacy
def test_a_gradient_left_in_the_discriminator_has_no_part_in_its_step(gan: Gan) -> None:
    dirty = deepcopy(gan)
    for parameter in dirty.discriminator.parameters():
        parameter.grad = torch.full_like(parameter, 1e3)
    for network in (gan, dirty):
        gradient = PrivateGradient(clip=1.0, noise_multiplier=1.0, expected_rows=10, noise=SeededNoise(0))
        step(network, *real(4), gradient=gradient)
    state = dirty.discriminator.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in gan.discriminator.state_dict().items())


@pytest.mark.privacy
def test_an_empty_private_batch_is_a_step_with_noise(gan: Gan) -> None:
    before = deepcopy(gan.discriminator.state_dict())
    gradient = PrivateGradient(clip=1.0, noise_multiplier=2.0, expected_rows=10, noise=SeededNoise(0))
    step(gan, *real(0), gradient=gradient)
    for name, tensor in gan.discriminator.state_dict().items():
        assert bool((tensor != before[name]).all()), name


PENALTIES = ["none", "r1", "gradient_penalty"]


@pytest.mark.privacy
@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_record_moves_a_step_by_at_most_the_clip_over_the_expected_rows(gan: Gan, penalty: str) -> None:
    """The whole step, whichever record is left out; the others and the generated rows keep their part."""
    images, labels = real(4)
    rate, clip, expected_rows = 0.1, 0.01, 10.0
    ends = []
    for left_out in (None, 0, 1, 3):
        kept = [row for row in range(4) if row != left_out]
        network = deepcopy(gan)
        step(
            network,
            images[kept],
            labels[kept],
            loss=gan_loss("non_saturating", penalty=penalty, penalty_weight=10.0),
            gradient=PrivateGradient(
                clip=clip, noise_multiplier=0.0, expected_rows=expected_rows, noise=SeededNoise(0)
            ),
            optimizer=sgd(network.discriminator, rate),
        )
        ends.append(torch.cat([value.detach().flatten() for value in network.discriminator.parameters()]).double())
    for end in ends[1:]:  # every gradient is above so small a clip, so each record takes its full share
        assert float((ends[0] - end).norm()) == pytest.approx(rate * clip / expected_rows, rel=0.01)


@pytest.mark.privacy
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("private", [False, True])
def test_the_public_stream_advances_alike_whatever_the_batch(
    make_gan: Callable[..., Gan], penalty: str, private: bool
) -> None:
    """Else what the generator's next step draws would tell how many records were in the batch."""
    states = []
    for count in (0, 1, 40):
        gan, rng = make_gan(), stream(0, "step")
        gradient = PrivateGradient(1.0, 1.0, 10.0, SeededNoise(0)) if private else PlainGradient()
        step(
            gan,
            *real(count),
            rng=rng,
            gradient=gradient,
            optimizer=sgd(gan.discriminator),
            loss=gan_loss("hinge", penalty=penalty, penalty_weight=1.0),
        )
        states.append(rng.get_state())
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_precision_is_that_of_forward_passes_alone(make_gan: Callable[..., Gan], precision: str) -> None:
    gan = make_gan()
    gan.precision = precision  # type: ignore[assignment]
    seen: set[torch.dtype] = set()
    for layer in (gan.discriminator.get_submodule("hidden.1"), gan.generator.get_submodule("hidden.0")):
        layer.register_forward_hook(lambda layer, inputs, output: seen.add(output.dtype))
    step(gan, *real(5))
    take(gan)
    assert seen == {getattr(torch, precision)}
    for module in (gan.discriminator, gan.generator):
        assert {value.dtype for value in module.state_dict().values()} == {torch.float32}


# Generator


def take(gan: Gan, **changes: Any) -> float:
    settings = {"batch_size": 6, "loss": LOSS, "optimizer": sgd(gan.generator), "rng": stream(0, "step"), **changes}
    return generator_step(gan, **settings)


def test_the_generators_step_is_gradient_descent_on_its_loss(gan: Gan) -> None:
    expected = deepcopy(gan)
    images, labels = expected.fakes(6, stream(0, "step"))
    logits = expected.discriminator(images, labels)
    LOSS.generator(logits).mean().backward()
    accuracy = take(gan)
    assert accuracy == float((logits < 0).float().mean())
    for name, parameter in expected.generator.named_parameters():
        assert parameter.grad is not None
        found = gan.generator.get_parameter(name)
        torch.testing.assert_close(found, parameter - 0.1 * parameter.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.privacy
@pytest.mark.parametrize("name", ["mlp", "dcgan", "resnet"])
def test_the_generators_step_leaves_nothing_in_the_discriminator(make_gan: Callable[..., Gan], name: str) -> None:
    gan = make_gan(name=name)
    gradient = PrivateGradient(clip=1.0, noise_multiplier=1.0, expected_rows=10, noise=SeededNoise(0))
    step(gan, *real(4), gradient=gradient)
    before = deepcopy(gan.discriminator.state_dict())
    take(gan)
    assert all(torch.equal(before[key], tensor) for key, tensor in gan.discriminator.state_dict().items())
    for parameter in gan.discriminator.parameters():
        assert parameter.grad is None
        assert getattr(parameter, "grad_sample", None) is None
        assert parameter.requires_grad
    for layer in gan.discriminator.modules():
        assert not layer._forward_hooks
        assert not layer._backward_hooks
        assert not hasattr(layer, "activations")


@pytest.mark.privacy
def test_a_private_step_is_the_same_after_a_generators_step(gan: Gan) -> None:
    """A gradient left behind by the generator's step would enter the next private one."""
    results = []
    for with_generator in (False, True):
        network = deepcopy(gan)
        if with_generator:
            take(network, optimizer=sgd(network.generator, rate=0.0))
            network.generator.load_state_dict(gan.generator.state_dict())  # its running statistics moved, publicly
        gradient = PrivateGradient(clip=1.0, noise_multiplier=1.0, expected_rows=10, noise=SeededNoise(0))
        step(network, *real(4), gradient=gradient)
        results.append(network.discriminator.state_dict())
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


@pytest.mark.parametrize(("bias", "accuracy"), [(-100.0, 1.0), (100.0, 0.0)])
def test_accuracy_is_the_share_of_generated_images_found_out(gan: Gan, bias: float, accuracy: float) -> None:
    with torch.no_grad():
        gan.discriminator.get_parameter("head.bias").fill_(bias)
    assert take(gan) == accuracy


def test_an_anchor_is_added_to_the_loss(gan: Gan) -> None:
    pulled, free = deepcopy(gan), deepcopy(gan)
    take(free)
    take(pulled, anchor=lambda images, labels: 100.0 * (images - 1).square().mean())
    latents, labels = torch.randn(50, 4, generator=stream(0, "check")), torch.arange(50) % 4
    means = [float(network.generator(latents, labels).detach().mean()) for network in (pulled, free)]
    assert means[0] > means[1] + 0.01
