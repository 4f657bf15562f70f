"""A client's part of a round: how many steps of which kind, in which order, with which optimiser."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fedgan.losses import LOSSES
from fedgan.privacy.gradient import PlainGradient
from fedgan.training import local
from fedgan.training.gan import Gan
from fedgan.training.local import (
    GeneratorProgress,
    Optimisation,
    generator_steps_due,
    train_alternating,
    train_discriminator_steps,
    train_generator_steps,
)
from fedgan.training.streams import stream


class Batches:
    """Random images; counts how many batches were drawn."""

    def __init__(self) -> None:
        self.drawn = 0
        self._rng = torch.Generator().manual_seed(0)

    def __call__(self) -> tuple[Tensor, Tensor]:
        self.drawn += 1
        return torch.rand(8, 1, 8, 8, generator=self._rng) * 2 - 1, torch.arange(8) % 4


def alternate(gan: Gan, optimisation: Optimisation, batches: Batches, **changes: Any) -> GeneratorProgress:
    settings: dict[str, Any] = {
        "steps": 6,
        "first_step": 0,
        "discriminator_steps": 2,
        "optimisation": optimisation,
        "loss": LOSSES["hinge"],
        "gradient": PlainGradient(),
        "rng": stream(0, "round"),
        **changes,
    }
    return train_alternating(gan, batches, **settings)


@pytest.mark.parametrize(
    ("first_step", "every", "expected"),
    [(0, 2, "ddgddgddg"), (0, 1, "dgdgdgdgdgdg"), (6, 4, "ddgddddg"), (1, 5, "ddddgdd"), (0, 7, "dddddd")],
)
def test_the_alternation_goes_on_over_rounds(
    gan: Gan,
    optimisation: Optimisation,
    monkeypatch: pytest.MonkeyPatch,
    first_step: int,
    every: int,
    expected: str,
) -> None:
    order: list[str] = []
    for letter, name in (("d", "discriminator_step"), ("g", "generator_step")):
        original = getattr(local, name)

        def recorded(*args: Any, letter: str = letter, original: Any = original, **kwargs: Any) -> Any:
            order.append(letter)
            return original(*args, **kwargs)

        monkeypatch.setattr(local, name, recorded)
    batches = Batches()
    progress = alternate(gan, optimisation, batches, first_step=first_step, discriminator_steps=every)
    assert "".join(order) == expected
    assert batches.drawn == 6
    assert progress.steps == expected.count("g") == generator_steps_due(first_step, 6, every)
    assert 0 <= progress.accuracy <= 1


@given(st.integers(0, 1000), st.integers(1, 50), st.integers(1, 100))
def test_steps_that_are_due(first_step: int, steps: int, every: int) -> None:
    wanted = sum(number % every == 0 for number in range(first_step + 1, first_step + steps + 1))
    assert generator_steps_due(first_step, steps, every) == wanted


def test_rounds_are_repeatable(make_gan: Callable[..., Gan], optimisation: Optimisation) -> None:
    gans = [make_gan(), make_gan()]
    for seed, gan in enumerate(gans):
        torch.manual_seed(seed)
        alternate(gan, optimisation, Batches())
    for name in ("generator", "discriminator"):
        state, other = (gan.network(name).state_dict() for gan in gans)
        assert all(torch.equal(state[key], other[key]) for key in state)


def test_discriminator_steps_leave_the_generator(gan: Gan, optimisation: Optimisation) -> None:
    before, seen = deepcopy(gan), []
    batches = Batches()
    train_discriminator_steps(
        gan,
        batches,
        steps=3,
        optimisation=optimisation,
        loss=LOSSES["hinge"],
        gradient=PlainGradient(),
        rng=stream(0, "round"),
        after_each=seen.append,
    )
    assert seen == [1, 2, 3]
    assert batches.drawn == 3
    for name, moved in (("generator", False), ("discriminator", True)):
        state = before.network(name).state_dict()
        changed = any(not torch.equal(state[key], value) for key, value in gan.network(name).state_dict().items())
        assert changed is moved


def test_generator_steps_leave_the_discriminator(gan: Gan, optimisation: Optimisation) -> None:
    before, calls = deepcopy(gan), []
    optimizer = optimisation.for_generator(gan)
    progress = train_generator_steps(
        gan,
        steps=3,
        optimisation=optimisation,
        optimizer=optimizer,
        loss=LOSSES["hinge"],
        rng=stream(0, "round"),
        after_each=lambda: calls.append(1),
    )
    assert (progress.steps, len(calls)) == (3, 3)
    assert {float(entry["step"]) for entry in optimizer.state.values()} == {3.0}
    for name, moved in (("generator", True), ("discriminator", False)):
        state = before.network(name).state_dict()
        changed = any(not torch.equal(state[key], value) for key, value in gan.network(name).state_dict().items())
        assert changed is moved


def test_no_generator_steps_are_no_progress(gan: Gan, optimisation: Optimisation) -> None:
    progress = train_generator_steps(
        gan,
        steps=0,
        optimisation=optimisation,
        optimizer=optimisation.for_generator(gan),
        loss=LOSSES["hinge"],
        rng=stream(0, "round"),
    )
    assert progress == GeneratorProgress(0, 1.0)
    assert alternate(gan, optimisation, Batches(), discriminator_steps=7) == GeneratorProgress(0, 1.0)


def test_accuracy_is_the_mean_over_generator_steps(
    gan: Gan, optimisation: Optimisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracies = iter([0.2, 0.4, 0.9])
    monkeypatch.setattr(local, "generator_step", lambda *args, **kwargs: next(accuracies))
    assert alternate(gan, optimisation, Batches()).accuracy == pytest.approx(0.5)


def test_optimisers_have_the_stated_constants(gan: Gan, optimisation: Optimisation) -> None:
    for optimizer, rate, module in (
        (optimisation.for_discriminator(gan), 1e-2, gan.discriminator),
        (optimisation.for_generator(gan), 2e-2, gan.generator),
    ):
        (group,) = optimizer.param_groups
        assert (group["lr"], group["betas"]) == (rate, (0.5, 0.9))
        assert [id(parameter) for parameter in group["params"]] == [id(each) for each in module.parameters()]
        assert optimizer.state_dict()["state"] == {}
