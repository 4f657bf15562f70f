"""The ladder climbs when the discriminator no longer tells generated images apart, and sees nothing else."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest

from fedgan.training.ladder import RUNGS, Ladder, fixed_ladder

SMALL = Ladder(rungs=(1, 2, 5), threshold=0.6, grace=4, decay=0.5)


def after(ladder: Ladder, *accuracies: float) -> Ladder:
    for accuracy in accuracies:
        ladder = ladder.after(accuracy, 1)
    return ladder


def test_it_starts_at_the_bottom() -> None:
    assert Ladder().discriminator_steps == 1
    assert tuple(sorted(set(RUNGS))) == RUNGS


def test_it_climbs_when_the_average_has_come_down_and_the_grace_is_over() -> None:
    three = after(SMALL, 0.0, 0.0, 0.0)
    assert three.rung == 0
    assert three.accuracy == pytest.approx(0.125)
    four = after(three, 0.0)
    assert (four.rung, four.discriminator_steps) == (1, 2)
    assert (four.steps, four.accuracy) == (0, 1.0)  # a new rung begins anew


def test_it_stays_while_fakes_are_found() -> None:
    assert after(SMALL, *[1.0] * 50).rung == 0
    assert after(SMALL, *[0.61] * 50).rung == 0
    assert after(SMALL, *[0.59] * 50).rung > 0


def test_it_stays_on_the_last_rung() -> None:
    top = after(SMALL, *[0.0] * 40)
    assert top.rung == 2
    assert after(top, *[0.0] * 40).discriminator_steps == 5


def test_many_steps_at_once_count_as_so_many() -> None:
    together, singly = SMALL.after(0.8, 3), after(SMALL, 0.8, 0.8, 0.8)
    assert together.accuracy == pytest.approx(singly.accuracy, rel=1e-12)
    assert (together.steps, together.rung) == (singly.steps, singly.rung) == (3, 0)


def test_no_steps_change_nothing() -> None:
    moved = after(SMALL, 0.7)
    assert moved.after(0.0, 0) is moved


def test_it_is_driven_by_generated_images_alone() -> None:
    assert list(inspect.signature(Ladder.after).parameters) == ["self", "accuracy", "steps"]


def test_a_fixed_ladder_never_climbs() -> None:
    ladder = fixed_ladder(7)
    assert ladder.discriminator_steps == 7
    assert replace(ladder, grace=1).after(0.0, 1000).discriminator_steps == 7
