"""Bugs planted in a vault, each found by the attack alone: it knows the claim and the releases, not the code.

A sound vault passes the same attack at the same claim (`test_power`). A bug here is missed only where fewer guesses are
right than refute the claim: by chance in fewer than one run in a billion. Each test says how many of its guesses are
right (mean and deviation of 400 draws of the mechanism with the bug) and how many refute the claim; counts of right
guesses are sums of coins once the scores are known, so the chance of too few is at most a binomial tail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from fedgan.audit.attack.findings import Finding
from fedgan.data.sampling import poisson_indices
from fedgan.federation.attack.vault import WatchedVault
from fedgan.federation.vault import Vault
from fedgan.privacy.gradient import PrivateGradient
from fedgan.privacy.noise import SecureNoise
from fedgan.training.local import Batches
from fedgan.training.rules import GradientRule

pytestmark = [pytest.mark.privacy, pytest.mark.slow]

Attack = Callable[..., Finding]


class ScaledNoise(SecureNoise):
    """Noise of another standard deviation than asked for; the choice of records stays sound."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self._factor = factor

    def normal(self, shape: tuple[int, ...], std: float) -> Tensor:
        return super().normal(shape, self._factor * std)

    def uniform(self, count: int) -> npt.NDArray[np.float64]:
        return super().uniform(count)


@dataclass(frozen=True)
class ClippedAfterTheSum:
    """The mean of the batch is clipped, not each record, and gets the noise that suits a mean of clipped ones."""

    sound: PrivateGradient

    def __call__(
        self, module: nn.Module, inputs: tuple[Tensor, ...], loss: Callable[[Tensor], Tensor]
    ) -> Mapping[str, Tensor]:
        parameters = dict(module.named_parameters())
        mean = loss(module(*inputs)).mean()
        gradients = torch.autograd.grad(mean, list(parameters.values()), allow_unused=True, materialize_grads=True)
        norm = torch.sqrt(sum((gradient**2).sum() for gradient in gradients))
        factor = min(1.0, self.sound.clip / float(norm))
        std = self.sound.noise_multiplier * self.sound.clip / self.sound.expected_rows
        return {
            name: factor * gradient + self.sound.noise.normal(tuple(gradient.shape), std).to(gradient)
            for name, gradient in zip(parameters, gradients, strict=True)
        }


@dataclass(frozen=True)
class NotClipped:
    """Every record's gradient enters at its own length."""

    sound: PrivateGradient

    def __call__(
        self, module: nn.Module, inputs: tuple[Tensor, ...], loss: Callable[[Tensor], Tensor]
    ) -> Mapping[str, Tensor]:
        parameters = dict(module.named_parameters())
        total = loss(module(*inputs)).sum()
        gradients = torch.autograd.grad(total, list(parameters.values()), allow_unused=True, materialize_grads=True)
        std = self.sound.noise_multiplier * self.sound.clip
        return {
            name: (gradient + self.sound.noise.normal(tuple(gradient.shape), std).to(gradient))
            / self.sound.expected_rows
            for name, gradient in zip(parameters, gradients, strict=True)
        }


class LateClip(Vault):
    def _gradient(self) -> GradientRule:
        rule = super()._gradient()
        assert isinstance(rule, PrivateGradient)
        return ClippedAfterTheSum(rule)


class NoClip(Vault):
    def _gradient(self) -> GradientRule:
        rule = super()._gradient()
        assert isinstance(rule, PrivateGradient)
        return NotClipped(rule)


class OftenerThanSaid(Vault):
    """Records are drawn at five times the rate that the accountant is told."""

    def _batches(self, round_number: int) -> Batches:
        plan = self._plan
        return lambda: self._records.batch(
            torch.from_numpy(poisson_indices(plan.records, 5 * plan.probability, self._noise.uniform))
        )


class WatchedLateClip(WatchedVault, LateClip): ...


class WatchedNoClip(WatchedVault, NoClip): ...


class WatchedOftener(WatchedVault, OftenerThanSaid): ...


def show_violation(finding: Finding, claimed: float) -> None:
    assert finding.claimed == pytest.approx(claimed, rel=0.02)
    assert finding.exceeded
    bounds = {bound.method: bound.epsilon for bound in finding.bounds}
    assert bounds["one_run"] > finding.claimed, bounds
    assert bounds["one_run_f_dp"] > finding.claimed, bounds


def test_no_noise(attack: Attack) -> None:
    """At half of the records a step, a member is in none of 20 steps with a chance of 1e-6, and is found otherwise.

    Seven such would have to be among the guesses, or ten in all for the area under the curve. At a quarter, ten of the
    500 members are in no step in 7e-6 of runs.
    """
    finding = attack(1.0, batch_size=24, noise=ScaledNoise(0.0))
    show_violation(finding, 1.0)
    assert finding.bounds[0].epsilon > 3
    assert finding.auc > 0.99


def test_a_quarter_of_the_noise(attack: Attack) -> None:
    """1,250 of 1,500 guesses are right, with a deviation of 15; 1,131 refute the claim: missed in 6e-15 of runs."""
    show_violation(attack(1.0, canaries=5000, noise=ScaledNoise(0.25)), 1.0)


def test_clipping_after_the_sum(attack: Attack) -> None:
    """A canary that is drawn shows by seven deviations of the noise: all but one or two of 300 guesses are right.

    235 refute the claim.
    """
    show_violation(attack(1.0, kind=WatchedLateClip), 1.0)


def test_no_clipping(attack: Attack) -> None:
    """A canary that is drawn shows by hundreds of deviations of the noise, at least as well as above."""
    show_violation(attack(1.0, kind=WatchedNoClip), 1.0)


def test_an_accountant_rebuilt_in_each_round(attack: Attack) -> None:
    """280 of 300 guesses are right, with a deviation of 5; 235 refute the claim: a chance of 5e-18 to miss it."""

    def forget(ledger: Path) -> None:
        ledger.unlink()
        ledger.with_suffix(".salt").unlink()

    show_violation(attack(1.0, rounds=48, planned_rounds=1, between_rounds=forget), 1.0)


def test_a_rate_understated(attack: Attack) -> None:
    """757 of 900 guesses are right, with a deviation of 11; 685 refute the claim: a chance of 2e-10 to miss it."""
    show_violation(attack(1.0, canaries=3000, batch_size=4, kind=WatchedOftener), 1.0)
