"""Penalties against their formulas, and how a loss gets one."""

from __future__ import annotations

import pytest
import torch

from fedgan.errors import UsageError
from fedgan.losses import LOSSES, PENALTIES, gan_loss

NORMS = torch.tensor([0.0, 0.5, 1.0, 3.0], dtype=torch.float64)


def test_the_registry_holds_these_penalties() -> None:
    assert PENALTIES.names() == ["gradient_penalty", "none", "r1"]
    with pytest.raises(UsageError, match=r"loss\.penalty = 'r2' is unknown: did you mean 'r1'\?"):
        gan_loss("hinge", penalty="r2", penalty_weight=1.0)
    with pytest.raises(UsageError, match=r"loss\.name = 'hing'"):
        gan_loss("hing", penalty="r1", penalty_weight=1.0)


@pytest.mark.parametrize(
    ("name", "expected", "between"),
    [("r1", [0.0, 0.125, 0.5, 4.5], False), ("gradient_penalty", [1.0, 0.25, 0.0, 4.0], True)],
)
def test_closed_form_one_penalty_a_norm(name: str, expected: list[float], between: bool) -> None:
    penalty = PENALTIES[name]
    assert penalty is not None
    assert penalty.of_norm(NORMS).tolist() == expected
    assert penalty.between is between


def test_a_loss_takes_a_penalty_and_keeps_everything_else() -> None:
    plain, penalised = (
        gan_loss("hinge", penalty="none", penalty_weight=3.0),
        gan_loss("hinge", penalty="r1", penalty_weight=3.0),
    )
    assert plain.penalty is None
    assert penalised.penalty is PENALTIES["r1"]
    assert penalised.penalty_weight == 3.0
    assert (penalised.real, penalised.fake, penalised.generator) == (plain.real, plain.fake, plain.generator)
    assert LOSSES["hinge"].penalty is None
