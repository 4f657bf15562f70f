"""What the discriminator sees of a record depends on that record alone, and all its copies are one row."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor

from fedgan.errors import UsageError
from fedgan.losses import LOSSES, gan_loss
from fedgan.privacy.clipping import clipped_gradient_sum
from fedgan.privacy.gradient import PlainGradient, PrivateGradient
from fedgan.privacy.noise import SeededNoise
from fedgan.training.augmentation import choose_augmentations
from fedgan.training.critic import check_clipping_engine
from fedgan.training.gan import Gan
from fedgan.training.objective import Objective, Rows, discriminator_objective
from fedgan.training.perturbation import NOTHING, Perturbation
from fedgan.training.spectral import bound_spectral_norms, spectral_norm
from fedgan.training.steps import discriminator_step, generator_step
from fedgan.training.streams import stream

LOSS = LOSSES["non_saturating"]
ALL = choose_augmentations("flip,translation,cutout,colour")
KINDS = {
    "augmented": Perturbation(ALL),
    "noisy": Perturbation(noise=0.3, rounds=4),
    "copies": Perturbation(ALL, copies=3),
    "sometimes augmented": Perturbation(ALL, copies=2, chance=0.6),
    "noisy copies": Perturbation(choose_augmentations("flip"), noise=0.3, copies=2),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def rows(count: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Rows:
    images = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 2 - 1
    return images, torch.arange(count) % 4


def without(records: Rows, left_out: int) -> Rows:
    kept = [row for row in range(len(records[0])) if row != left_out]
    return records[0][kept], records[1][kept]


def objective(gan: Gan, records: Rows, fakes: int = 3) -> Objective:
    return discriminator_objective(gan, records, rows(fakes, 2, records[0].dtype), loss=LOSS, rng=stream(0, "step"))


def flat(gradients: tuple[Tensor, ...] | dict[str, Tensor]) -> Tensor:
    values = gradients.values() if isinstance(gradients, dict) else gradients
    return torch.cat([value.flatten() for value in values])


# Rows


@pytest.mark.privacy
@each_kind
def test_what_is_shown_of_a_record_does_not_follow_the_batch(kind: str) -> None:
    records = rows(7)
    whole = KINDS[kind].of_records(*records, stream(0, "step"))
    for left_out in range(7):
        kept = [row for row in range(7) if row != left_out]
        part = KINDS[kind].of_records(*without(records, left_out), stream(0, "step"))
        torch.testing.assert_close(part, whole[kept], rtol=0, atol=1e-6)


@pytest.mark.privacy
@each_kind
@pytest.mark.parametrize("count", [0, 1, 7])
def test_the_public_stream_does_not_follow_the_number_of_records(kind: str, count: int) -> None:
    rng, other = stream(0, "step"), stream(0, "step")
    KINDS[kind].of_records(*rows(count), rng)
    KINDS[kind].of_records(*rows(3), other)
    assert torch.equal(rng.get_state(), other.get_state())


@each_kind
def test_another_step_label_or_copy_is_shown_otherwise(kind: str) -> None:
    images, labels = rows(40)
    rng = stream(0, "step")
    first, second = (KINDS[kind].of_records(images, labels, rng) for _ in range(2))
    relabelled = KINDS[kind].of_records(images, (labels + 1) % 4, stream(0, "step"))
    for other in (second, relabelled):
        assert bool(((first - other).flatten(1).norm(dim=1) > 1e-3).double().mean() > 0.9)
    if KINDS[kind].copies > 1:
        assert first.shape == (40, KINDS[kind].copies, 1, 8, 8)
        assert bool(((first[:, 0] - first[:, 1]).flatten(1).norm(dim=1) > 1e-3).double().mean() > 0.9)


@each_kind
def test_real_and_generated_images_are_changed_alike(kind: str) -> None:
    """Else the change itself would tell them apart."""
    images = torch.full((3000, 1, 8, 8), 0.4)
    images[:, :, :4] = -0.2
    images += torch.arange(3000).view(-1, 1, 1, 1) * 1e-6  # so that each is another record
    real = KINDS[kind].of_records(images, torch.zeros(3000, dtype=torch.int64), stream(0, "a"))
    fake = KINDS[kind].of_generated(images, stream(0, "b"), copies=KINDS[kind].copies)
    assert real.shape == fake.shape
    for moment in (torch.mean, torch.std):
        error = 5 * float(real.flatten(1).std()) / 3000**0.5
        torch.testing.assert_close(moment(real, dim=0), moment(fake, dim=0), rtol=0, atol=error)


def test_noise_falls_linearly_over_the_rounds() -> None:
    noisy = Perturbation(noise=0.8, rounds=4)
    assert [noisy.at(number, 1.0).std for number in (1, 2, 3, 4, 5)] == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.0])
    images = torch.zeros(400, 1, 8, 8)
    for number in (1, 3):
        assert float(noisy.at(number, 1.0).of_generated(images, stream(0)).std()) == pytest.approx(
            noisy.at(number, 1.0).std, rel=0.03
        )
    assert torch.equal(noisy.at(5, 1.0).of_generated(images, stream(0)), images)


@pytest.mark.parametrize("chance", [0.0, 0.3, 0.8])
def test_each_augmentation_is_applied_with_the_chance(chance: float) -> None:
    images = torch.rand(4000, 1, 8, 8, generator=torch.Generator().manual_seed(3)) * 2 - 1
    one, both = (Perturbation(choose_augmentations(names), chance=chance) for names in ("flip", "flip,colour"))
    same = (one.of_generated(images, stream(0)) == images).flatten(1).all(dim=1).double().mean()
    error = 5 * (0.25 / 4000) ** 0.5
    assert float(same) == pytest.approx(1 - chance / 2, abs=error)  # a flip that is applied turns every second image
    same = (both.of_generated(images, stream(0)) == images).flatten(1).all(dim=1).double().mean()
    assert float(same) == pytest.approx((1 - chance / 2) * (1 - chance), abs=error)


# Gradients


@pytest.mark.privacy
@pytest.mark.parametrize("model", ["mlp", "dcgan", "resnet"])
@each_kind
@pytest.mark.parametrize("count", [0, 5])
def test_equals_a_loop_over_single_records(make_gan: Callable[..., Gan], model: str, kind: str, count: int) -> None:
    gan = make_gan(name=model)
    gan.discriminator.double()
    gan.perturbation = KINDS[kind]
    records, fake, rng = rows(count, dtype=torch.float64), rows(3, 2, torch.float64), stream(0, "step")
    shown = [
        gan.perturbation.of_records(*(part[i : i + 1] for part in records), stream(0, "step")) for i in range(count)
    ]
    gan.perturbation.of_records(*records, rng)  # moves the stream as the objective does
    generated = gan.perturbation.of_generated(fake[0], rng, copies=gan.perturbation.copies)
    cases = [(LOSS.real, image[0], records[1][i]) for i, image in enumerate(shown)]
    cases += [(LOSS.fake, image, fake[1][i]) for i, image in enumerate(generated)]
    gradients = []
    for loss, image, label in cases:
        copies = image.view(-1, 1, 8, 8)
        mean = loss(gan.discriminator(copies, label.expand(len(copies)))).mean()
        parameters = list(gan.discriminator.parameters())
        gradients.append(flat(torch.autograd.grad(mean, parameters, allow_unused=True, materialize_grads=True)))
    lengths = torch.stack([gradient.norm() for gradient in gradients])
    clip = float(lengths.median())
    sums, norms = clipped_gradient_sum(*objective(gan, records), max_norm=clip)
    torch.testing.assert_close(norms, lengths, rtol=1e-9, atol=1e-12)
    expected = torch.stack([gradient * min(1.0, clip / float(gradient.norm())) for gradient in gradients]).sum(dim=0)
    torch.testing.assert_close(flat(sums), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.privacy
@each_kind
def test_one_record_moves_a_step_by_at_most_the_clip_over_the_expected_rows(gan: Gan, kind: str) -> None:
    """However many copies of it are shown, and nobody else's move when it leaves."""
    gan.perturbation = KINDS[kind]
    clip, expected_rows, ends = 0.01, 10.0, []
    for left_out in (None, 0, 2, 4):
        network = deepcopy(gan)
        records = rows(5) if left_out is None else without(rows(5), left_out)
        discriminator_step(
            network,
            *records,
            fakes=3,
            loss=LOSS,
            gradient=PrivateGradient(clip, 0.0, expected_rows, SeededNoise(0)),
            optimizer=torch.optim.SGD(network.discriminator.parameters(), lr=1.0),
            rng=stream(0, "step"),
        )
        ends.append(flat(tuple(value.detach() for value in network.discriminator.parameters())).double())
    for end in ends[1:]:  # every gradient is above so small a clip, so each record takes its full share, and no more
        assert float((ends[0] - end).norm()) == pytest.approx(clip / expected_rows, rel=0.01)


@each_kind
@pytest.mark.parametrize("microbatch", [1, 3])
def test_microbatches_change_nothing(gan: Gan, kind: str, microbatch: int) -> None:
    gan.perturbation = KINDS[kind]
    gan.discriminator.double()
    records = rows(5, dtype=torch.float64)
    whole, norms = clipped_gradient_sum(*objective(gan, records), max_norm=0.1)
    parts, others = clipped_gradient_sum(*objective(gan, records), max_norm=0.1, microbatch=microbatch)
    torch.testing.assert_close(flat(parts), flat(whole), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(others, norms, rtol=1e-9, atol=1e-12)


def test_nothing_asked_for_changes_nothing(gan: Gan) -> None:
    assert not NOTHING.active
    rng, other = stream(0, "step"), stream(0, "step")
    _, (images, _), _ = discriminator_objective(gan, rows(4), rows(2, 2), loss=LOSS, rng=rng)
    assert torch.equal(images, torch.cat([rows(4)[0], rows(2, 2)[0]]))
    assert torch.equal(rng.get_state(), other.get_state())


def test_the_generator_learns_through_what_the_discriminator_sees(gan: Gan) -> None:
    gan.perturbation = Perturbation(choose_augmentations("cutout"))
    seen: list[Tensor] = []
    gan.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    optimizer = torch.optim.SGD(gan.generator.parameters(), lr=0.1)
    before = deepcopy(gan.generator.state_dict())
    generator_step(gan, batch_size=50, loss=LOSS, optimizer=optimizer, rng=stream(0))
    assert float((seen[0] == 0).float().mean()) == pytest.approx(0.2, abs=0.08)  # a quarter less what lies outside
    assert any(not torch.equal(before[name], value) for name, value in gan.generator.state_dict().items())


def test_opacus_cannot_show_copies() -> None:
    with pytest.raises(UsageError, match=r"training\.augmentation_copies = 2 .*opacus"):
        check_clipping_engine("opacus", penalty="none", precision="float32", copies=2)
    check_clipping_engine("opacus", penalty="none", precision="float32", copies=1)


# Label smoothing and spectral norms


def test_smoothing_moves_the_best_logit_on_real_images() -> None:
    """With targets 0.9 the loss of a real image is least where the discriminator is 90 % sure (equation 1 of GANs)."""
    smooth = gan_loss("non_saturating", penalty="none", penalty_weight=0.0, label_smoothing=0.1)
    logits = torch.linspace(-6, 6, 2401)
    best = float(logits[smooth.real(logits).argmin()])
    assert best == pytest.approx(float(torch.logit(torch.tensor(0.9))), abs=0.01)
    assert torch.equal(smooth.fake(logits), LOSS.fake(logits))
    assert torch.equal(smooth.generator(logits), LOSS.generator(logits))
    squares = gan_loss("least_squares", penalty="none", penalty_weight=0.0, label_smoothing=0.1)
    assert float(logits[squares.real(logits).argmin()]) == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("model", ["mlp", "dcgan", "resnet"])
def test_weights_are_scaled_down_to_the_bound_and_small_ones_stay(make_gan: Callable[..., Gan], model: str) -> None:
    discriminator = make_gan(name=model).discriminator
    layers = [layer for layer in discriminator.modules() if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d)]
    before = [layer.weight.detach().clone() for layer in layers]
    norms = [float(torch.linalg.matrix_norm(weight.flatten(1), 2)) for weight in before]
    bound = sorted(norms)[len(norms) // 2] * 0.99
    bound_spectral_norms(discriminator, bound)
    for layer, weight, norm in zip(layers, before, norms, strict=True):
        after = float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2))
        assert after == pytest.approx(min(norm, bound), rel=0.03)
        torch.testing.assert_close(layer.weight, weight * (after / norm), rtol=1e-3, atol=1e-6)
    bound_spectral_norms(discriminator, 0.0)
    assert float(spectral_norm(torch.diag(torch.tensor([3.0, 2.0, 1.0])))) == pytest.approx(3.0, rel=1e-4)


def test_a_step_ends_within_the_bound(gan: Gan) -> None:
    gan.spectral_bound = 0.5
    discriminator_step(
        gan,
        *rows(4),
        fakes=3,
        loss=LOSS,
        gradient=PlainGradient(),
        optimizer=torch.optim.SGD(gan.discriminator.parameters(), lr=1.0),
        rng=stream(0, "step"),
    )
    for layer in gan.discriminator.modules():
        if isinstance(layer, torch.nn.Linear):
            assert float(torch.linalg.matrix_norm(layer.weight.detach(), 2)) < 0.52
