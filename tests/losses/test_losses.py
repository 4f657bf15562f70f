"""The losses against closed forms and torch's own functions."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, hinge_embedding_loss, mse_loss

from fedgan.errors import UsageError
from fedgan.losses import LOSSES

NAMES = ["hinge", "least_squares", "non_saturating", "wasserstein"]
PARTS = ["real", "fake", "generator"]
LOGITS = torch.tensor([-3.0, -1.0, -0.25, 0.0, 0.5, 1.0, 2.5], dtype=torch.float64)
CLOSED_FORMS: dict[tuple[str, str], Callable[[float], float]] = {
    ("hinge", "real"): lambda t: max(0.0, 1 - t),
    ("hinge", "fake"): lambda t: max(0.0, 1 + t),
    ("hinge", "generator"): lambda t: -t,
    ("least_squares", "real"): lambda t: (t - 1) ** 2 / 2,
    ("least_squares", "fake"): lambda t: t**2 / 2,
    ("least_squares", "generator"): lambda t: (t - 1) ** 2 / 2,
    ("non_saturating", "real"): lambda t: -log(1 / (1 + exp(-t))),
    ("non_saturating", "fake"): lambda t: -log(1 - 1 / (1 + exp(-t))),
    ("non_saturating", "generator"): lambda t: -log(1 / (1 + exp(-t))),
    ("wasserstein", "real"): lambda t: -t,
    ("wasserstein", "fake"): lambda t: t,
    ("wasserstein", "generator"): lambda t: -t,
}


def test_the_registry_holds_these_losses() -> None:
    assert LOSSES.names() == NAMES
    with pytest.raises(UsageError, match=r"loss\.name = 'hing' is unknown: did you mean 'hinge'\?"):
        LOSSES["hing"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", PARTS)
def test_closed_form_one_loss_a_logit(name: str, part: str) -> None:
    losses = getattr(LOSSES[name], part)(LOGITS)
    expected = torch.tensor([CLOSED_FORMS[name, part](t) for t in LOGITS.tolist()], dtype=torch.float64)
    torch.testing.assert_close(losses, expected, rtol=1e-12, atol=1e-12)
    assert getattr(LOSSES[name], part)(LOGITS[:0]).shape == (0,)


@pytest.mark.parametrize(("part", "target"), [("real", 1.0), ("fake", 0.0), ("generator", 1.0)])
def test_torch_agrees(part: str, target: float) -> None:
    targets = torch.full_like(LOGITS, target)
    entropy = binary_cross_entropy_with_logits(LOGITS, targets, reduction="none")
    torch.testing.assert_close(getattr(LOSSES["non_saturating"], part)(LOGITS), entropy)
    squares = mse_loss(LOGITS, targets, reduction="none")
    torch.testing.assert_close(2 * getattr(LOSSES["least_squares"], part)(LOGITS), squares)


@pytest.mark.parametrize(("part", "sign"), [("real", 1.0), ("fake", -1.0)])
def test_torch_agrees_on_the_hinge(part: str, sign: float) -> None:
    margins = hinge_embedding_loss(sign * LOGITS, -torch.ones_like(LOGITS), margin=1.0, reduction="none")
    torch.testing.assert_close(getattr(LOSSES["hinge"], part)(LOGITS), margins)


def _slope(loss: Callable[[Tensor], Tensor], logit: float) -> float:
    at = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
    loss(at).sum().backward()
    assert at.grad is not None
    return at.grad.item()


@pytest.mark.parametrize("name", NAMES)
def test_the_players_pull_apart(name: str) -> None:
    """Around an undecided logit the discriminator raises real ones, lowers fake ones; the generator raises its own."""
    loss = LOSSES[name]
    assert _slope(loss.real, 0.2) < 0
    assert _slope(loss.fake, 0.2) > 0
    assert _slope(loss.generator, 0.2) < 0


def test_the_hinge_ignores_logits_beyond_its_margin() -> None:
    assert _slope(LOSSES["hinge"].real, 1.5) == 0
    assert _slope(LOSSES["hinge"].fake, -1.5) == 0
    assert _slope(LOSSES["hinge"].generator, 9.0) == -1


def test_non_saturating_stays_finite_and_teaches_a_beaten_generator() -> None:
    loss = LOSSES["non_saturating"]
    extreme = torch.tensor([-1e4, 1e4])
    for part in PARTS:
        assert getattr(loss, part)(extreme).isfinite().all()
    assert _slope(loss.generator, -50.0) == pytest.approx(-1.0, abs=1e-12)
