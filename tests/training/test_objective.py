"""A row's loss with its penalty, clipped as one: against one record at a time, differentiated twice by autograd."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fedgan.errors import UsageError
from fedgan.losses import PENALTIES, GanLoss, gan_loss
from fedgan.privacy.clipping import clipped_gradient_sum
from fedgan.privacy.gradient import PlainGradient, PrivateGradient
from fedgan.privacy.noise import SeededNoise
from fedgan.training.gan import Gan
from fedgan.training.interpolation import interpolate
from fedgan.training.objective import Objective, Rows, discriminator_objective
from fedgan.training.steps import discriminator_step
from fedgan.training.streams import stream

pytestmark = pytest.mark.privacy

NAMES = ["r1", "gradient_penalty"]
WEIGHT = 10.0


def double(gan: Gan) -> Gan:
    gan.generator.double().eval()
    gan.discriminator.double()
    return gan


def rows(count: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Rows:
    images = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 2 - 1
    return images, torch.arange(count) % 4


def without(records: Rows, left_out: int) -> Rows:
    kept = [row for row in range(len(records[0])) if row != left_out]
    return records[0][kept], records[1][kept]


def penalised(name: str) -> GanLoss:
    return gan_loss("non_saturating", penalty=name, penalty_weight=WEIGHT)


def objective(gan: Gan, records: Rows, name: str, fakes: int = 3) -> Objective:
    fake = rows(fakes, seed=2, dtype=records[0].dtype)
    return discriminator_objective(gan, records, fake, loss=penalised(name), rng=stream(0, "step"))


def loss_of_record(gan: Gan, record: Rows, name: str) -> Tensor:
    """Return the loss () of one real record, its penalty by autograd's second derivatives."""
    image, label = record
    at = image if name == "r1" else interpolate(gan, image, label, rng=stream(0, "step"))
    at = at.clone().requires_grad_()
    (slope,) = torch.autograd.grad(gan.discriminator(at, label).sum(), at, create_graph=True)
    norm = slope.square().sum().sqrt()
    penalty = WEIGHT / 2 * norm**2 if name == "r1" else WEIGHT * (norm - 1) ** 2
    return penalised(name).real(gan.discriminator(image, label)).sum() + penalty


def gradients_by_loop(gan: Gan, records: Rows, name: str, fakes: int = 3) -> list[Tensor]:
    """Return the gradient of every row, flattened; generated rows have no penalty."""
    images, labels = records
    losses = [loss_of_record(gan, (images[i : i + 1], labels[i : i + 1]), name) for i in range(len(images))]
    fake_images, fake_labels = rows(fakes, seed=2, dtype=images.dtype)
    losses += [
        penalised(name).fake(gan.discriminator(fake_images[i : i + 1], fake_labels[i : i + 1])).sum()
        for i in range(fakes)
    ]
    parameters = list(gan.discriminator.parameters())
    return [flat(torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)) for loss in losses]


def flat(gradients: tuple[Tensor, ...] | dict[str, Tensor]) -> Tensor:
    values = gradients.values() if isinstance(gradients, dict) else gradients
    return torch.cat([value.flatten() for value in values])


@pytest.mark.parametrize("model", ["mlp", "dcgan", "resnet"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [0, 1, 5])
def test_equals_a_loop_over_single_records(make_gan: Callable[..., Gan], model: str, name: str, count: int) -> None:
    gan, records = double(make_gan(name=model)), rows(count)
    expected = gradients_by_loop(gan, records, name)
    lengths = torch.stack([gradient.norm() for gradient in expected])
    max_norm = float(lengths.median())
    sums, norms = clipped_gradient_sum(*objective(gan, records, name), max_norm=max_norm)
    torch.testing.assert_close(norms, lengths, rtol=1e-9, atol=1e-12)
    clipped = torch.stack([gradient * min(1.0, max_norm / float(gradient.norm())) for gradient in expected]).sum(dim=0)
    torch.testing.assert_close(flat(sums), clipped, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("microbatch", [1, 3])
def test_microbatches_change_nothing(make_gan: Callable[..., Gan], name: str, microbatch: int) -> None:
    gan, records = double(make_gan()), rows(5)
    whole, norms = clipped_gradient_sum(*objective(gan, records, name), max_norm=1.0)
    parts, others = clipped_gradient_sum(*objective(gan, records, name), max_norm=1.0, microbatch=microbatch)
    torch.testing.assert_close(flat(parts), flat(whole), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(others, norms, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_one_record_changes_the_sum_by_at_most_the_clip(make_gan: Callable[..., Gan], name: str) -> None:
    """Loss and penalty are clipped as one, and nobody else's interpolate moves when a record leaves."""
    gan, records = make_gan(name="dcgan"), rows(6, dtype=torch.float32)
    gan.generator.eval()
    clip = 0.5
    whole, norms = clipped_gradient_sum(*objective(gan, records, name), max_norm=clip)
    assert bool((norms[:6] > clip).all())
    for left_out in range(6):
        part, _ = clipped_gradient_sum(*objective(gan, without(records, left_out), name), max_norm=clip)
        assert float((flat(whole) - flat(part)).norm()) == pytest.approx(clip, rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_the_plain_gradient_is_that_of_the_mean(make_gan: Callable[..., Gan], name: str) -> None:
    gan, records = double(make_gan(name="dcgan")), rows(4)
    expected = torch.stack(gradients_by_loop(gan, records, name)).mean(dim=0)
    found = PlainGradient()(*objective(gan, records, name))
    torch.testing.assert_close(flat(found), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_penalty_is_at_work(make_gan: Callable[..., Gan], name: str) -> None:
    gan, records = double(make_gan()), rows(4)
    plain = PlainGradient()(*objective(gan, records, "none"))
    assert float((flat(PlainGradient()(*objective(gan, records, name))) - flat(plain)).norm()) > 0.1


@pytest.mark.parametrize("count", [0, 4])
@pytest.mark.parametrize("name", NAMES)
def test_a_private_step_moves_every_weight_and_leaves_nothing(
    make_gan: Callable[..., Gan], name: str, count: int
) -> None:
    gan = make_gan()
    before = {key: value.clone() for key, value in gan.discriminator.state_dict().items()}
    discriminator_step(
        gan,
        *rows(count, dtype=torch.float32),
        fakes=3,
        loss=penalised(name),
        gradient=PrivateGradient(clip=1.0, noise_multiplier=1.0, expected_rows=8, noise=SeededNoise(0)),
        optimizer=torch.optim.SGD(gan.discriminator.parameters(), lr=0.1),
        rng=stream(0, "step"),
    )
    for key, value in gan.discriminator.state_dict().items():
        assert bool((value != before[key]).all()), key
    assert all(parameter.grad is None for parameter in gan.discriminator.parameters())


def test_opacus_refuses_penalties_and_says_why(gan: Gan) -> None:
    with pytest.raises(UsageError, match=r"clipping_engine = 'opacus'.*loss\.penalty.*'book_keeping'"):
        clipped_gradient_sum(*objective(gan, rows(2, dtype=torch.float32), "r1"), max_norm=1.0, engine="opacus")


# Interpolates


def test_an_interpolate_lies_between_the_record_and_a_generated_image_of_its_class(gan: Gan) -> None:
    gan.generator.eval()
    images, labels = rows(200, dtype=torch.float32)
    seen: list[Tensor] = []
    original = gan.generator.forward

    def recorded(latents: Tensor, labels: Tensor) -> Tensor:
        seen.extend((latents, labels, original(latents, labels)))
        return seen[-1]

    gan.generator.forward = recorded  # type: ignore[method-assign]
    found = interpolate(gan, images, labels, rng=stream(0, "step"))
    latents, classes, partners = seen
    assert torch.equal(classes, labels)
    assert len(set(map(tuple, latents.tolist()))) == 200
    assert abs(float(latents.mean())) < 0.2
    assert abs(float(latents.std()) - 1) < 0.2
    weights = ((found - partners) / (images - partners)).flatten(1).median(dim=1).values
    torch.testing.assert_close(found, torch.lerp(partners, images, weights.view(-1, 1, 1, 1)), rtol=0, atol=1e-4)
    assert 0 <= float(weights.min()) < 0.05 < 0.95 < float(weights.max()) <= 1
    assert float(weights.mean()) == pytest.approx(0.5, abs=0.12)


def test_interpolates_do_not_follow_the_batch(gan: Gan) -> None:
    gan.generator.eval()
    records = rows(7, dtype=torch.float32)
    whole = interpolate(gan, *records, rng=stream(0, "step"))
    for left_out in range(7):
        kept = [row for row in range(7) if row != left_out]
        torch.testing.assert_close(interpolate(gan, *without(records, left_out), rng=stream(0, "step")), whole[kept])


@pytest.mark.parametrize("count", [0, 1, 7])
def test_the_public_stream_does_not_follow_the_number_of_records(gan: Gan, count: int) -> None:
    rng, other = stream(0, "step"), stream(0, "step")
    interpolate(gan, *rows(count, dtype=torch.float32), rng=rng)
    interpolate(gan, *rows(3, dtype=torch.float32), rng=other)
    assert torch.equal(rng.get_state(), other.get_state())


def test_another_step_or_label_brings_another_interpolate(gan: Gan) -> None:
    gan.generator.eval()
    images, labels = rows(3, dtype=torch.float32)
    rng = stream(0, "step")
    first, second = (interpolate(gan, images, labels, rng=rng) for _ in range(2))
    relabelled = interpolate(gan, images, (labels + 1) % 4, rng=stream(0, "step"))
    for other in (second, relabelled):
        assert bool(((first - other).flatten(1).norm(dim=1) > 1e-3).all())


def test_names_here_are_all_penalties_there_are() -> None:
    assert {*NAMES, "none"} == set(PENALTIES.names())
