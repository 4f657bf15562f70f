"""The chance of augmentations rises while the discriminator is far ahead, and follows nothing that would cost."""

from __future__ import annotations

import inspect

import pytest

from fedgan.training.augmentation_chance import HIGHEST, AugmentationChance, chance_of

ADAPTIVE = chance_of("adaptive")


def test_a_number_stays() -> None:
    fixed = chance_of(0.3)
    assert fixed.value == 0.3
    assert fixed.after(1.0, 1000) is fixed


def test_it_begins_with_none_and_rises_while_fakes_are_found() -> None:
    assert ADAPTIVE.value == 0
    assert ADAPTIVE.after(0.81, 20).value == pytest.approx(0.1)
    assert ADAPTIVE.after(0.81, 20).after(0.81, 20).value == pytest.approx(0.2)
    assert ADAPTIVE.after(1.0, 10_000).value == HIGHEST


def test_it_falls_while_they_are_not() -> None:
    high = AugmentationChance(0.5, adaptive=True)
    assert high.after(0.8, 20).value == pytest.approx(0.4)
    assert high.after(0.5, 10_000).value == 0


def test_a_round_without_generator_steps_moves_nothing() -> None:
    assert ADAPTIVE.after(1.0, 0) is ADAPTIVE


@pytest.mark.privacy
def test_it_sees_the_accuracy_on_generated_images_alone() -> None:
    assert list(inspect.signature(AugmentationChance.after).parameters) == ["self", "accuracy", "steps"]
