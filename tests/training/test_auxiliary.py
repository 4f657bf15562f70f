"""The auxiliary classifier: a row's class is part of the row's own loss and clipped with it, against a loop by hand."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fedgan.losses import LOSSES, GanLoss, gan_loss
from fedgan.models.auxiliary import AuxiliaryDiscriminator
from fedgan.privacy.clipping import clipped_gradient_sum
from fedgan.privacy.clipping.engines import book_keeping
from fedgan.privacy.gradient import PlainGradient, PrivateGradient
from fedgan.privacy.noise import SeededNoise
from fedgan.training.augmentation import choose_augmentations
from fedgan.training.dropout import DroppingCritic
from fedgan.training.gan import Gan
from fedgan.training.interpolation import interpolate
from fedgan.training.objective import Objective, Rows, discriminator_objective
from fedgan.training.perturbation import Perturbation
from fedgan.training.steps import discriminator_step, generator_step
from fedgan.training.streams import stream

WEIGHT, PENALTY_WEIGHT, HUGE = 0.7, 10.0, 1e6
ENGINES = ["book_keeping", "opacus"]
PENALTIES = ["none", "r1", "gradient_penalty"]
COPIES = Perturbation(choose_augmentations("flip,translation"), noise=0.1, copies=2)
MakeGan = Callable[..., Gan]


@pytest.fixture
def gan(make_gan: MakeGan) -> Gan:
    return make_gan(auxiliary=True)


def double(gan: Gan) -> Gan:
    gan.generator.double().eval()
    gan.discriminator.double()
    return gan


def rows(count: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Rows:
    images = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 2 - 1
    return images, torch.arange(count) * 3 % 4


def without(records: Rows, left_out: int) -> Rows:
    kept = [row for row in range(len(records[0])) if row != left_out]
    return records[0][kept], records[1][kept]


def joint(
    name: str = "non_saturating", penalty: str = "none", weight: float = WEIGHT, smoothing: float = 0.0
) -> GanLoss:
    return gan_loss(
        name, penalty=penalty, penalty_weight=PENALTY_WEIGHT, label_smoothing=smoothing, auxiliary_weight=weight
    )


def objective(gan: Gan, records: Rows, loss: GanLoss, fakes: int = 3) -> Objective:
    fake = rows(fakes, seed=2, dtype=records[0].dtype)
    return discriminator_objective(gan, records, fake, loss=loss, rng=stream(0, "step"))


def flat(gradients: tuple[Tensor, ...] | dict[str, Tensor]) -> Tensor:
    values = gradients.values() if isinstance(gradients, dict) else gradients
    return torch.cat([value.flatten() for value in values])


def class_losses(gan: Gan, images: Tensor, labels: Tensor) -> Tensor:
    """Return -log softmax (N,) of each label's score, written out."""
    scores = gan.discriminator.classes(gan.discriminator.discriminator.features(images))  # type: ignore[operator, union-attr]
    return scores.exp().sum(dim=1).log() - scores[torch.arange(len(labels)), labels]


def penalty_of(gan: Gan, image: Tensor, label: Tensor, name: str) -> Tensor | float:
    if name == "none":
        return 0.0
    at = image if name == "r1" else interpolate(gan, image, label, rng=stream(0, "step"))
    at = at.clone().requires_grad_()
    (slope,) = torch.autograd.grad(gan.discriminator(at, label).sum(), at, create_graph=True)
    norm = slope.square().sum().sqrt()
    return PENALTY_WEIGHT / 2 * norm**2 if name == "r1" else PENALTY_WEIGHT * (norm - 1) ** 2


def gradients_by_loop(gan: Gan, records: Rows, name: str = "non_saturating", penalty: str = "none") -> list[Tensor]:
    """Return the gradient of every row, flattened: of the adversarial loss, the class's and a real row's penalty."""
    fakes, adversarial, gradients = rows(3, seed=2, dtype=records[0].dtype), LOSSES[name], []
    parameters = list(gan.discriminator.parameters())
    for real, (images, labels) in ((True, records), (False, fakes)):
        for i in range(len(images)):
            image, label = images[i : i + 1], labels[i : i + 1]
            loss = (adversarial.real if real else adversarial.fake)(gan.discriminator(image, label)).sum()
            loss = loss + WEIGHT * class_losses(gan, image, label).sum()
            if real:
                loss = loss + penalty_of(gan, image, label, penalty)
            gradients.append(flat(torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)))
    return gradients


def assert_clipped_like(gradients: list[Tensor], found: tuple[dict[str, Tensor], Tensor], max_norm: float) -> None:
    sums, norms = found
    torch.testing.assert_close(norms, torch.stack([one.norm() for one in gradients]), rtol=1e-9, atol=1e-12)
    clipped = torch.stack([one * min(1.0, max_norm / float(one.norm())) for one in gradients]).sum(dim=0)
    torch.testing.assert_close(flat(sums), clipped, rtol=1e-9, atol=1e-12)


# The discriminator's loss


@pytest.mark.privacy
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("model", ["mlp", "dcgan", "resnet", "mixture"])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_equals_a_loop_over_single_records(make_gan: MakeGan, model: str, engine: str, count: int) -> None:
    gan, records = double(make_gan(name=model, auxiliary=True)), rows(count)
    expected = gradients_by_loop(gan, records)
    max_norm = float(torch.stack([one.norm() for one in expected]).median())
    found = clipped_gradient_sum(*objective(gan, records, joint()), max_norm=max_norm, engine=engine)
    assert_clipped_like(expected, found, max_norm)


@pytest.mark.privacy
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("name", LOSSES.names())
def test_equals_a_loop_with_every_loss_and_penalty(gan: Gan, name: str, penalty: str) -> None:
    records = rows(4)
    expected = gradients_by_loop(double(gan), records, name, penalty)
    max_norm = float(torch.stack([one.norm() for one in expected]).median())
    found = clipped_gradient_sum(*objective(gan, records, joint(name, penalty)), max_norm=max_norm)
    assert_clipped_like(expected, found, max_norm)


@pytest.mark.privacy
@pytest.mark.parametrize("microbatch", [1, 3])
@pytest.mark.parametrize(("penalty", "engine"), [("none", "book_keeping"), ("none", "opacus"), ("r1", "book_keeping")])
def test_microbatches_change_nothing(gan: Gan, penalty: str, engine: str, microbatch: int) -> None:
    records, loss = rows(5), joint(penalty=penalty)
    expected = gradients_by_loop(double(gan), records, penalty=penalty)
    how: dict[str, Any] = {"max_norm": 1.0, "engine": engine, "microbatch": microbatch}
    assert_clipped_like(expected, clipped_gradient_sum(*objective(gan, records, loss), **how), 1.0)
    mean = PlainGradient(microbatch=microbatch)(*objective(gan, records, loss))
    torch.testing.assert_close(flat(dict(mean)), torch.stack(expected).mean(dim=0), rtol=1e-9, atol=1e-12)


@pytest.mark.privacy
def test_a_record_shown_several_times_has_the_mean_of_its_joint_losses(gan: Gan) -> None:
    double(gan).perturbation, records = COPIES, rows(3)
    critic, (shown, labels), losses = objective(gan, records, joint(), fakes=2)
    found = losses(critic(shown, labels))
    for row, (copies, label) in enumerate(zip(shown, labels, strict=True)):
        logits, repeated = gan.discriminator(copies, label.expand(2)), label.expand(2)
        adversarial = (LOSSES["non_saturating"].real if row < 3 else LOSSES["non_saturating"].fake)(logits)
        torch.testing.assert_close(found[row], (adversarial + WEIGHT * class_losses(gan, copies, repeated)).mean())


def test_labels_are_smoothed_in_the_adversarial_part_alone(gan: Gan) -> None:
    records, plain = rows(4), LOSSES["hinge"]
    critic, inputs, losses = objective(double(gan), records, joint("hinge", smoothing=0.1), fakes=0)
    logits = gan.discriminator(*records)
    expected = 0.9 * plain.real(logits) + 0.1 * plain.fake(logits) + WEIGHT * class_losses(gan, *records)
    torch.testing.assert_close(losses(critic(*inputs)), expected)


@pytest.mark.privacy
@pytest.mark.parametrize(
    ("penalty", "engine", "perturbation"),
    [
        ("none", "book_keeping", Perturbation()),
        ("none", "opacus", Perturbation()),
        ("r1", "book_keeping", Perturbation()),
        ("gradient_penalty", "book_keeping", Perturbation()),
        ("none", "book_keeping", COPIES),
    ],
    ids=["book_keeping", "opacus", "r1", "gradient_penalty", "copies"],
)
def test_one_record_changes_the_sum_by_at_most_the_clip(
    gan: Gan, penalty: str, engine: str, perturbation: Perturbation
) -> None:
    """However much its class counts for: adversarial loss, class and penalty are clipped as one."""
    gan.perturbation, records, clip = perturbation, rows(6, dtype=torch.float32), 0.5
    gan.generator.eval()
    loss = joint(penalty=penalty, weight=HUGE)
    whole, norms = clipped_gradient_sum(*objective(gan, records, loss), max_norm=clip, engine=engine)
    assert bool((norms > 1000 * clip).all())
    for left_out in range(6):
        others = objective(gan, without(records, left_out), loss)
        part, _ = clipped_gradient_sum(*others, max_norm=clip, engine=engine)
        assert float((flat(whole) - flat(part)).norm()) == pytest.approx(clip, rel=1e-3)


@pytest.mark.privacy
@pytest.mark.parametrize("weight", [WEIGHT, HUGE])
def test_one_record_moves_a_step_by_at_most_the_clip_over_the_expected_rows(gan: Gan, weight: float) -> None:
    records, clip, expected_rows, ends = rows(5, dtype=torch.float32), 0.01, 10.0, []
    for left_out in (None, 0, 2, 4):
        network = deepcopy(gan)
        gradient = PrivateGradient(clip, noise_multiplier=0.0, expected_rows=expected_rows, noise=SeededNoise(0))
        batch = records if left_out is None else without(records, left_out)
        step(network, batch, loss=joint(weight=weight), gradient=gradient)
        ends.append(torch.cat([value.detach().flatten() for value in network.discriminator.parameters()]).double())
    for end in ends[1:]:  # every gradient is above so small a clip, so each record takes its full share
        assert float((ends[0] - end).norm()) == pytest.approx(0.1 * clip / expected_rows, rel=0.01)


@pytest.mark.privacy
@pytest.mark.parametrize("penalty", PENALTIES)
def test_nobody_elses_gradient_moves_when_a_record_leaves(gan: Gan, penalty: str) -> None:
    """No clip at work here, so a loss that the batch shares would show in full."""
    double(gan)
    records, loss = rows(5), joint(penalty=penalty)
    own = gradients_by_loop(gan, records, penalty=penalty)
    whole, _ = clipped_gradient_sum(*objective(gan, records, loss), max_norm=1e9)
    for left_out in range(5):
        part, _ = clipped_gradient_sum(*objective(gan, without(records, left_out), loss), max_norm=1e9)
        torch.testing.assert_close(flat(whole) - flat(part), own[left_out], rtol=1e-8, atol=1e-10)


@pytest.mark.privacy
@pytest.mark.parametrize("count", [0, 5])
def test_generated_rows_are_taught_their_public_labels_alone(gan: Gan, count: int) -> None:
    seen: list[Tensor] = []

    def watched(module: nn.Module, inputs: tuple[Tensor, ...], loss: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        seen.append(loss(module(*inputs)).detach()[count:])
        return {name: torch.zeros_like(value) for name, value in module.named_parameters()}

    images, labels = rows(count, dtype=torch.float32)
    for private in (labels, (labels + 1) % 4):
        step(gan, (images, private), gradient=watched)
    fakes, public = gan.fakes(6, stream(0, "step"))
    expected = LOSSES["non_saturating"].fake(gan.discriminator(fakes, public)) + WEIGHT * class_losses(
        gan, fakes, public
    )
    for losses in seen:
        torch.testing.assert_close(losses, expected.detach())


@pytest.mark.privacy
@pytest.mark.parametrize("count", [0, 4])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_private_step_noises_every_weight_of_both_heads(gan: Gan, penalty: str, precision: str, count: int) -> None:
    gan.precision = precision  # type: ignore[assignment]
    before = {name: value.clone() for name, value in gan.discriminator.state_dict().items()}
    gradient = PrivateGradient(clip=1.0, noise_multiplier=1.0, expected_rows=8, noise=SeededNoise(0))
    step(gan, rows(count, dtype=torch.float32), loss=joint(penalty=penalty), gradient=gradient)
    for name, value in gan.discriminator.state_dict().items():
        assert value.dtype == torch.float32
        assert bool((value != before[name]).all()), name
    assert {"classes.weight", "classes.bias"} <= before.keys()
    assert all(parameter.grad is None for parameter in gan.discriminator.parameters())


@pytest.mark.parametrize("model", ["mlp", "dcgan", "resnet"])
def test_norms_of_both_heads_come_by_rules(make_gan: MakeGan, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        book_keeping, "functional_gradient_sum", lambda *_, **__: pytest.fail("taken record by record, by torch.func")
    )
    gan = make_gan(name=model, auxiliary=True)
    clipped_gradient_sum(*objective(gan, rows(4, dtype=torch.float32), joint()), max_norm=1.0)


def test_dropped_units_are_missed_by_both_heads(gan: Gan) -> None:
    images, labels = rows(5, dtype=torch.float32)
    whole, dropped = gan.critic(images, labels), DroppingCritic(gan.critic, 0.5)(images, labels, torch.arange(5))
    assert dropped.shape == whole.shape == (5, 2)
    assert bool((dropped != whole).all())


# The generator's loss


def test_the_generators_step_is_gradient_descent_on_both_losses(gan: Gan) -> None:
    expected = deepcopy(gan)
    images, labels = expected.fakes(6, stream(0, "step"))
    logits = expected.discriminator(images, labels)
    loss = LOSSES["hinge"].generator(logits) + WEIGHT * class_losses(expected, images, labels)
    loss.mean().backward()
    accuracy = take(gan, loss=joint("hinge"))
    assert accuracy == float((logits < 0).float().mean())
    for name, parameter in expected.generator.named_parameters():
        assert parameter.grad is not None
        found = gan.generator.get_parameter(name)
        torch.testing.assert_close(found, parameter - 0.1 * parameter.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("bias", "accuracy"), [(-100.0, 1.0), (100.0, 0.0)])
def test_accuracy_reads_the_adversarial_logit_alone(gan: Gan, bias: float, accuracy: float) -> None:
    """It drives the number of discriminator steps and the chance of augmentations."""
    with torch.no_grad():
        gan.discriminator.get_parameter("discriminator.head.bias").fill_(bias)
        gan.discriminator.get_parameter("classes.weight").mul_(1000)
    assert take(gan, loss=joint()) == accuracy


@pytest.mark.privacy
def test_the_generators_step_leaves_nothing_in_the_discriminator(gan: Gan) -> None:
    before = deepcopy(gan.discriminator.state_dict())
    take(gan, loss=joint())
    assert all(torch.equal(before[name], value) for name, value in gan.discriminator.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in gan.discriminator.parameters())


# Off


@pytest.mark.parametrize("model", ["mlp", "dcgan", "resnet", "mixture"])
def test_the_head_is_the_only_weight_that_is_added(make_gan: MakeGan, model: str) -> None:
    without, with_it = make_gan(name=model), make_gan(name=model, auxiliary=True)
    assert not isinstance(without.discriminator, AuxiliaryDiscriminator)
    assert without.critic is without.discriminator
    expected = {f"discriminator.{name}": value for name, value in without.discriminator.state_dict().items()}
    state = with_it.discriminator.state_dict()
    assert state.keys() - expected.keys() == {"classes.weight", "classes.bias"}
    assert all(torch.equal(state[name], value) for name, value in expected.items())
    for name, value in without.generator.state_dict().items():
        assert torch.equal(with_it.generator.state_dict()[name], value)
    images, labels = rows(5, dtype=torch.float32)
    assert torch.equal(with_it.discriminator(images, labels), without.discriminator(images, labels))
    logits, scores = with_it.discriminator.judge(images, labels)  # type: ignore[operator]
    assert torch.equal(logits, without.discriminator(images, labels))
    assert scores.shape == (5, 4)
    assert torch.equal(scores, with_it.discriminator.judge(images, labels.flip(0))[1])  # type: ignore[operator]


@pytest.mark.parametrize("name", LOSSES.names())
def test_without_a_weight_the_losses_are_those_registered(name: str) -> None:
    assert gan_loss(name, penalty="none", penalty_weight=0.0, auxiliary_weight=0.0) == LOSSES[name]


def step(gan: Gan, records: Rows, **changes: Any) -> None:
    settings: dict[str, Any] = {
        "fakes": 6,
        "loss": joint(),
        "gradient": PlainGradient(),
        "optimizer": torch.optim.SGD(gan.discriminator.parameters(), lr=0.1),
        "rng": stream(0, "step"),
        **changes,
    }
    discriminator_step(gan, *records, **settings)


def take(gan: Gan, **changes: Any) -> float:
    optimizer = torch.optim.SGD(gan.generator.parameters(), lr=0.1)
    return generator_step(gan, batch_size=6, optimizer=optimizer, rng=stream(0, "step"), **changes)
