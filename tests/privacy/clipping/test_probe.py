"""Modules that mix samples without saying so by a layer's type, or whose layers see samples along another dimension."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, instance_norm
from torch.nn.utils.parametrizations import spectral_norm

from fedgan.errors import UsageError
from fedgan.privacy.clipping import Differentiating, clipped_gradient_sum
from fedgan.privacy.clipping.probe import without_rule

pytestmark = pytest.mark.privacy

ENGINES = ["book_keeping", "opacus"]


class Mixing(nn.Module):
    """A discriminator that shows its last layer something of the whole batch."""

    def __init__(self, statistics: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.statistics = statistics
        self.first, self.last = nn.Linear(6, 5), nn.Linear(5, 1)

    def forward(self, rows: Tensor) -> Tensor:
        return self.last(self.statistics(torch.relu(self.first(rows)))).squeeze(1)


def deviation(features: Tensor) -> Tensor:
    """Minibatch standard deviation (Karras et al. 2018)."""
    return features + features.std(dim=0).mean()


def normalised(features: Tensor) -> Tensor:
    return batch_norm(features, None, None, training=True)


def ranked(features: Tensor) -> Tensor:
    return features - features.mean(dim=0)


def without_slope(features: Tensor) -> Tensor:
    """Other rows' slopes are not numbers where the spread, here of the same thing twice, vanishes."""
    return features + (features - features).norm(dim=0).square().sum().sqrt()


class Steps(nn.Module):
    """Rows of several steps each, which its layer receives step by step: (steps, rows, values)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, rows: Tensor) -> Tensor:
        return torch.tanh(self.layer(rows.transpose(0, 1))).sum(dim=(0, 2))


def squares(outputs: Tensor) -> Tensor:
    return 0.5 * outputs.square()


def clipped(module: nn.Module, rows: Tensor, engine: str, max_norm: float = 1.0) -> tuple[dict[str, Tensor], Tensor]:
    return clipped_gradient_sum(module, (rows,), squares, max_norm=max_norm, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("statistics", [deviation, normalised, ranked, without_slope])
def test_a_forward_pass_that_mixes_samples_is_refused(engine: str, statistics: Callable[[Tensor], Tensor]) -> None:
    for rows in (9, 1, 0):
        with pytest.raises(UsageError, match=r"Mixing mixes the samples of a batch.*model\.name"):
            clipped(Mixing(statistics), torch.rand(rows, 6), engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_one_that_does_not_is_taken(engine: str) -> None:
    assert len(clipped(Mixing(lambda features: features * 2), torch.rand(9, 6), engine)[1]) == 9


class Remembering(nn.Module):
    """A discriminator whose buffer learns something from the rows, in place or not, or from its weights alone."""

    seen: Tensor

    def __init__(self, learns: str) -> None:
        super().__init__()
        self.learns = learns
        self.layer = nn.Linear(6, 1)
        self.register_buffer("seen", torch.zeros(6))

    def forward(self, rows: Tensor) -> Tensor:
        with torch.no_grad():
            if self.learns == "rows":
                self.seen.lerp_(rows.mean(dim=0), 0.1)
            elif self.learns == "rows anew":
                self.seen = 0.9 * self.seen + 0.1 * rows.mean(dim=0)
            elif self.learns == "their number":
                self.seen.add_(len(rows))
            elif self.learns == "norms":
                instance_norm(rows[:, :, None].tile(1, 1, 2), self.seen, torch.ones(6))
            elif self.learns == "weights":
                self.seen.lerp_(self.layer.weight[0], 0.1)
            elif self.learns == "steps":
                self.seen.add_(1)
        return self.layer(rows).squeeze(1)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("learns", ["rows", "rows anew", "norms", "their number"])
def test_a_forward_pass_that_keeps_something_of_samples_in_a_buffer_is_refused(engine: str, learns: str) -> None:
    """Buffers go where the weights go, and no noise is added to them."""
    for rows in (9, 1, 0):
        module = Remembering(learns)
        with pytest.raises(UsageError, match=r"Remembering keeps what it sees of samples in its buffer 'seen'"):
            clipped(module, torch.rand(rows, 6), engine)
        assert not module.seen.any()


@pytest.mark.parametrize("learns", ["weights", "steps"])
def test_buffers_that_depend_on_no_sample_are_taken(learns: str) -> None:
    module = Remembering(learns)
    assert len(clipped(module, torch.rand(9, 6), "book_keeping")[1]) == 9
    assert module.seen.any()


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_samples_along_another_dimension_are_told_apart_even_if_it_is_as_long(count: int) -> None:
    """Seven steps and seven rows: which of them is a sample shows by no size."""
    module, rows = Steps(), torch.rand(count, 7, 4)
    norms = clipped(module, rows, "book_keeping")[1]
    wanted = []
    for row in rows:
        found = torch.autograd.grad(squares(module(row[None])).sum(), list(module.parameters()))
        wanted.append(torch.cat([part.flatten() for part in found]).norm())
    torch.testing.assert_close(norms, torch.stack(wanted), rtol=1e-5, atol=0)


def test_the_try_leaves_buffers_and_random_numbers_alone() -> None:
    module = nn.Sequential(spectral_norm(nn.Linear(6, 5)), nn.Dropout(0.5), nn.Linear(5, 1), nn.Flatten(0))
    rows, before = torch.rand(4, 6), {name: value.clone() for name, value in module.named_buffers()}
    state = torch.get_rng_state()
    assert without_rule(module, (rows,), dict(module.named_parameters())) == ""
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in module.named_buffers())
    assert all(parameter.grad is None for parameter in module.parameters())


def test_a_module_that_takes_no_made_up_rows_is_named(caplog: pytest.LogCaptureFixture) -> None:
    class Picky(nn.Linear):
        def forward(self, rows: Tensor) -> Tensor:
            if len(rows) != 5:
                raise ValueError("five rows, please")
            return super().forward(rows).squeeze(1)

    with caplog.at_level(logging.WARNING):
        clipped(Picky(6, 1), torch.rand(5, 6), "book_keeping")
    assert "Picky could not be tried on made-up rows (ValueError: five rows, please)" in caplog.text


@pytest.mark.parametrize("statistics", [ranked, None])
def test_a_module_that_differentiates_is_tried_too(
    statistics: Callable[[Tensor], Tensor] | None, caplog: pytest.LogCaptureFixture
) -> None:
    class Steep(Differentiating):
        """Puts out how steep the logit of a row is; its labels are integers, as those of a critic."""

        def __init__(self) -> None:
            super().__init__()
            self.inner, self.labels = Mixing(statistics or (lambda features: features)), nn.Embedding(2, 1)

        def forward(self, rows: Tensor, labels: Tensor) -> Tensor:
            slopes = torch.func.grad(lambda images: (self.inner(images) * self.labels(labels)[:, 0]).square().sum())
            return slopes(rows).square().sum(dim=1)

    call = partial(clipped_gradient_sum, Steep(), (torch.rand(4, 6), torch.zeros(4, dtype=torch.int64)), squares)
    with caplog.at_level(logging.WARNING):
        if statistics:
            with pytest.raises(UsageError, match="Steep mixes the samples of a batch"):
                call(max_norm=1.0)
        else:
            assert len(call(max_norm=1.0)[1]) == 4
    assert "made-up rows" not in caplog.text
