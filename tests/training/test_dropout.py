"""A row's units are dropped by a key of its own: nobody else's masks move when a record leaves."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor

from fedgan.errors import UsageError
from fedgan.losses import LOSSES
from fedgan.privacy.clipping import clipped_gradient_sum
from fedgan.privacy.gradient import PrivateGradient
from fedgan.privacy.noise import SeededNoise
from fedgan.training import dropout
from fedgan.training.augmentation import choose_augmentations
from fedgan.training.dropout import DroppingCritic, generated_keys, record_keys
from fedgan.training.gan import Gan, build_gan
from fedgan.training.objective import Rows, discriminator_objective
from fedgan.training.perturbation import Perturbation
from fedgan.training.steps import discriminator_step, generator_step
from fedgan.training.streams import stream

LOSS = LOSSES["non_saturating"]


def rows(count: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Rows:
    images = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 2 - 1
    return images, torch.arange(count) % 4


def flat(gradients: dict[str, Tensor]) -> Tensor:
    return torch.cat([value.flatten() for value in gradients.values()])


def kept(records: Rows, left_out: int) -> Rows:
    others = [row for row in range(len(records[0])) if row != left_out]
    return records[0][others], records[1][others]


@pytest.mark.privacy
def test_a_records_key_does_not_follow_the_batch_and_the_stream_neither() -> None:
    whole = record_keys(*rows(6), stream(0, "step"))
    assert len(set(whole.tolist())) == 6
    for left_out in range(6):
        rng = stream(0, "step")
        part = record_keys(*kept(rows(6), left_out), rng)
        assert part.tolist() == [key for row, key in enumerate(whole.tolist()) if row != left_out]
        other = stream(0, "step")
        record_keys(*rows(0), other)
        assert torch.equal(rng.get_state(), other.get_state())
    assert not set(whole.tolist()) & set(record_keys(*rows(6), stream(0, "next")).tolist())


def test_numbers_are_uniform_and_differ_by_row_place_and_unit() -> None:
    keys = generated_keys(200, stream(0), torch.device("cpu"))
    found = torch.stack([dropout._uniforms(keys, place, 300) for place in (0, 1)])
    assert bool(((found >= 0) & (found < 1)).all())
    assert float(found.double().mean()) == pytest.approx(0.5, abs=5 * 12**-0.5 * 120_000**-0.5)
    shares = torch.histc(found, 10, 0, 1) / found.numel()
    torch.testing.assert_close(shares, torch.full((10,), 0.1), rtol=0, atol=0.005)
    for first, second in ((found[0], found[1]), (found[0, 1:], found[0, :-1]), (found[0, :, 1:], found[0, :, :-1])):
        correlation = torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1]
        assert abs(float(correlation)) < 5 * 60_000**-0.5


@pytest.mark.parametrize("model", ["mlp", "dcgan"])
def test_units_are_dropped_at_the_rate_and_the_rest_keeps_the_mean(make_gan: Callable[..., Gan], model: str) -> None:
    gan = make_gan(name=model)
    seen: list[tuple[Tensor, Tensor]] = []
    original = dropout._drop

    def watched(layer, inputs, output, **how):  # type: ignore[no-untyped-def]
        seen.append((output, original(layer, inputs, output, **how)))
        return seen[-1][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dropout, "_drop", watched)
        keys = generated_keys(400, stream(0), gan.device)
        DroppingCritic(gan.critic, 0.3)(*rows(400), keys)
    assert len(seen) == len(dropout.places(gan.discriminator)) > 1
    for before, after in seen:
        gone = after == 0
        assert float(gone.double().mean()) == pytest.approx(0.3, abs=0.03)
        torch.testing.assert_close(after[~gone], before[~gone] / 0.7)
    assert not any(layer._forward_hooks for layer in gan.discriminator.modules())


@pytest.mark.privacy
@pytest.mark.parametrize("model", ["mlp", "dcgan"])
@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("count", [0, 5])
def test_equals_a_loop_over_single_records(make_gan: Callable[..., Gan], model: str, copies: int, count: int) -> None:
    gan = make_gan(name=model)
    gan.discriminator.double()
    gan.dropout, gan.perturbation = 0.4, Perturbation(choose_augmentations("flip"), copies=copies)
    records, fake = rows(count, dtype=torch.float64), rows(3, 2, torch.float64)
    module, inputs, losses = discriminator_objective(gan, records, fake, loss=LOSS, rng=stream(0, "step"))
    gradients = []
    for row in range(count + 3):
        own = losses(module(*inputs))[row]
        alone = module(*(part[row : row + 1] for part in inputs))
        loss = (LOSS.real if row < count else LOSS.fake)(alone).mean()
        torch.testing.assert_close(loss, own, rtol=1e-9, atol=1e-12)
        found = torch.autograd.grad(loss, list(module.parameters()), allow_unused=True, materialize_grads=True)
        gradients.append(torch.cat([value.flatten() for value in found]))
    lengths = torch.stack([gradient.norm() for gradient in gradients])
    clip = float(lengths.median())
    sums, norms = clipped_gradient_sum(module, inputs, losses, max_norm=clip)
    torch.testing.assert_close(norms, lengths, rtol=1e-9, atol=1e-12)
    expected = torch.stack([gradient * min(1.0, clip / float(gradient.norm())) for gradient in gradients]).sum(dim=0)
    torch.testing.assert_close(flat(sums), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.privacy
@pytest.mark.parametrize("engine", ["book_keeping", "opacus"])
def test_one_record_moves_a_step_by_at_most_the_clip_over_the_expected_rows(gan: Gan, engine: str) -> None:
    gan.dropout = 0.4
    clip, expected_rows, ends = 0.01, 10.0, []
    for left_out in (None, 0, 2, 4):
        network = deepcopy(gan)
        discriminator_step(
            network,
            *(rows(5) if left_out is None else kept(rows(5), left_out)),
            fakes=3,
            loss=LOSS,
            gradient=PrivateGradient(clip, 0.0, expected_rows, SeededNoise(0), engine),
            optimizer=torch.optim.SGD(network.discriminator.parameters(), lr=1.0),
            rng=stream(0, "step"),
        )
        ends.append(torch.cat([value.detach().flatten() for value in network.discriminator.parameters()]).double())
    for end in ends[1:]:
        assert float((ends[0] - end).norm()) == pytest.approx(clip / expected_rows, rel=0.01)


def test_the_generators_step_drops_too_and_leaves_no_hook(gan: Gan) -> None:
    gan.dropout = 0.5
    other = deepcopy(gan)
    other.dropout = 0.0
    for network in (gan, other):
        optimizer = torch.optim.SGD(network.generator.parameters(), lr=0.1)
        generator_step(network, batch_size=20, loss=LOSS, optimizer=optimizer, rng=stream(0))
    weights = [torch.cat([value.flatten() for value in network.generator.parameters()]) for network in (gan, other)]
    assert float((weights[0] - weights[1]).detach().norm()) > 1e-4
    assert not any(layer._forward_hooks for layer in gan.discriminator.modules())


def test_a_network_without_a_place_for_it_is_refused() -> None:
    sizes = {"latent_dim": 4, "width": 8, "num_classes": 4, "image_shape": (1, 8, 8), "seed": 0}
    with pytest.raises(
        UsageError, match=r"training\.dropout = 0\.5 is not accepted: give 0 with model\.name = 'resnet'"
    ):
        build_gan("resnet", **sizes, device=torch.device("cpu"), dropout=0.5)  # type: ignore[arg-type]
