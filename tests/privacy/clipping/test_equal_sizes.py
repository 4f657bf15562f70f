"""Rows that are added for a GPU's sake change nothing, and there are few of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from fedgan.losses import PENALTIES
from fedgan.models import build_discriminator
from fedgan.privacy.clipping import ENGINES, clipped_gradient_sum
from fedgan.privacy.clipping.engine import LossFunction
from fedgan.privacy.clipping.equal_sizes import in_equal_sizes, padded_size
from fedgan.privacy.clipping.microbatches import in_microbatches
from fedgan.training.critic import PenalisedCritic

pytestmark = pytest.mark.privacy

SHAPE = (1, 8, 8)
Result = tuple[dict[str, Tensor], Tensor]


def critic() -> nn.Module:
    return build_discriminator("dcgan", num_classes=3, image_shape=SHAPE, width=4, seed=0).double()


def batch(rows: int) -> tuple[Tensor, Tensor]:
    images = torch.rand(rows, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    return images, torch.arange(rows) % 3


def loss(logits: Tensor) -> Tensor:
    """The first third is real: a row's loss depends on its place."""
    real = len(logits) // 3
    return torch.cat([softplus(-logits[:real]), softplus(logits[real:])])


def assert_equal(found: Result, expected: Result) -> None:
    torch.testing.assert_close(found[1], expected[1], rtol=1e-10, atol=0)
    assert list(found[0]) == list(expected[0])
    for name, value in expected[0].items():
        torch.testing.assert_close(found[0][name], value, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("rows", [1, 7, 33, 100])
@pytest.mark.parametrize("engine", ENGINES.names())
def test_added_rows_change_nothing(engine: str, rows: int) -> None:
    module, inputs = critic(), batch(rows)
    expected = clipped_gradient_sum(module, inputs, loss, max_norm=0.5, engine=engine)
    assert_equal(in_equal_sizes(ENGINES[engine])(module, inputs, loss, max_norm=0.5), expected)


@pytest.mark.parametrize("engine", ENGINES.names())
def test_repeating_a_row_without_a_finite_gradient_changes_nothing(engine: str) -> None:
    module, (images, labels) = critic(), batch(33)
    images[-1] = float("nan")
    expected = clipped_gradient_sum(module, (images, labels), loss, max_norm=0.5, engine=engine)
    sums, norms = in_equal_sizes(ENGINES[engine])(module, (images, labels), loss, max_norm=0.5)
    assert all(bool(value.isfinite().all()) for value in sums.values())
    assert_equal((sums, norms[:-1]), (expected[0], expected[1][:-1]))
    assert not norms[-1].isfinite()


def test_added_rows_change_nothing_in_slices_and_beside_a_penalty() -> None:
    module, (images, labels) = PenalisedCritic(critic()), batch(75)
    of_norm = PENALTIES["r1"].of_norm

    def penalised(outputs: Tensor) -> Tensor:
        return loss(outputs[:, 0]) + of_norm(outputs[:, 1])

    expected = clipped_gradient_sum(module, (images, labels), penalised, max_norm=0.5)
    engine = in_microbatches(in_equal_sizes(ENGINES["book_keeping"]), 36)
    assert_equal(engine(module, (images, labels), penalised, max_norm=0.5), expected)


def test_a_gpus_rows_are_padded_and_a_cpus_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def engine(module: nn.Module, inputs: tuple[Tensor, ...], loss: LossFunction, *, max_norm: float) -> Result:
        seen.append(len(inputs[0]))
        return {}, torch.zeros(len(inputs[0]))

    monkeypatch.setattr("fedgan.privacy.clipping.engine.ENGINES", {"known": engine})
    clipped_gradient_sum(critic(), batch(100), loss, max_norm=0.5, engine="known")
    monkeypatch.setattr(Tensor, "is_cuda", property(lambda self: True))
    _, norms = clipped_gradient_sum(critic(), batch(101), loss, max_norm=0.5, engine="known")
    assert seen == [100, 104]
    assert len(norms) == 101


def test_few_rows_are_added_and_sizes_are_few() -> None:
    for rows in range(1, 3000):
        assert rows <= padded_size(rows) <= rows + rows / 16
    # Poisson samples of 4,096 expected records beside 4,096 generated rows, within four standard deviations
    assert len({padded_size(rows) for rows in range(8192 - 256, 8192 + 257)}) <= 3
