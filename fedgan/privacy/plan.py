"""The one plan of a client's privacy that its sampler, its noise and its accountant all read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from fedgan.errors import UsageError, bad_value
from fedgan.privacy.accounting import calibrate_noise, check_delta
from fedgan.privacy.accounting import epsilon as total_epsilon
from fedgan.privacy.events import Event, Gaussian, PoissonSampled, SelfComposed

Level = Literal["none", "record"]


@dataclass(frozen=True, kw_only=True)
class PrivacyPlan:
    """What one client's training may do to its records; made by `make_plan`, which calibrates the noise.

    Guarantee: at level "record" all planned events together cost at most `epsilon` at `delta` for adding or removing
    one record. At level "none" there is no noise and no guarantee, and the privacy fields say what was configured.

    Args:
        level: whose presence is hidden: "record" or "none".
        records: how many records the client holds.
        expected_batch: real records in a discriminator step, on average.
        clip: bound on the L2 norm of one record's gradient.
        noise_multiplier: standard deviation of the noise of one discriminator step, in units of `clip`.
        warm_start_noise: noise multiplier of the one embedding release; 0.0 means that there is none.
        steps_per_round: private discriminator steps in a round.
        participations: rounds that the client takes part in at most.
        delta: in (0, 1).
        epsilon: the most that the whole run may cost.
        accountant: a name in `fedgan.privacy.accountant.ACCOUNTANTS`.
        clipping_engine: a name in `fedgan.privacy.clipping.ENGINES`.
    """

    level: Level
    records: int
    expected_batch: int
    clip: float
    noise_multiplier: float
    warm_start_noise: float
    steps_per_round: int
    participations: int
    delta: float
    epsilon: float
    accountant: str
    clipping_engine: str

    @property
    def probability(self) -> float:
        """The probability with which each record enters a batch, independently of all others."""
        return self.expected_batch / self.records

    def warm_start_event(self) -> Event:
        """Return the event of the embedding release; ValueError if the plan holds none."""
        if self.level == "none" or self.warm_start_noise == 0:
            raise ValueError("this plan holds no private warm start")
        return Gaussian(self.warm_start_noise)

    def round_event(self, steps: int) -> Event:
        """Return the event of a round with `steps` >= 1 discriminator steps; ValueError if the plan holds none."""
        if self.level == "none" or self.noise_multiplier == 0:
            raise ValueError("this plan holds no private steps")
        return SelfComposed(steps, PoissonSampled(self.probability, Gaussian(self.noise_multiplier)))

    def planned_events(self) -> tuple[Event, ...]:
        """Return everything that may be charged: the warm start and every round in full; empty at level "none"."""
        if self.level == "none":
            return ()
        warm_start = (self.warm_start_event(),) if self.warm_start_noise > 0 else ()
        rounds = (self.round_event(self.steps_per_round),) * self.participations if self.noise_multiplier > 0 else ()
        return warm_start + rounds

    def planned_epsilon(self) -> float:
        """Return the epsilon at `delta` if all planned events run: at most `epsilon`; infinite at level "none"."""
        if self.level == "none":
            return math.inf
        return total_epsilon(self.planned_events(), delta=self.delta, accountant=self.accountant)


@lru_cache(maxsize=4096)
def make_plan(
    *,
    level: Level,
    records: int,
    batch_size: int,
    clip: float,
    epsilon: float,
    delta: float,
    accountant: str,
    clipping_engine: str,
    warm_start_share: float,
    steps_per_round: int,
    participations: int,
) -> PrivacyPlan:
    """Calibrate the noise of a client and return its plan; equal arguments return the cached plan.

    The warm start alone costs `warm_start_share` * `epsilon`; the steps get the noise with which everything together
    costs `epsilon`, which is more than the remaining share since composition is cheaper than addition.

    Args:
        level: "record" or "none".
        records: how many records the client holds, >= 1.
        batch_size: real records in a step on average, at most `records`.
        clip: > 0.
        epsilon: > 0, for the whole run.
        delta: in (0, 1).
        accountant: a name in `fedgan.privacy.accountant.ACCOUNTANTS`.
        clipping_engine: a name in `fedgan.privacy.clipping.ENGINES`, not checked here as that would import torch.
        warm_start_share: the part of `epsilon` that the warm start alone may cost: 0 for no warm start, below 1 where
            there are steps. Without steps a warm start gets all.
        steps_per_round: private discriminator steps in a round, >= 0.
        participations: rounds that the client takes part in at most, >= 0.

    Raises:
        UsageError: a value out of range, or a target that no noise meets.
    """
    _check(level, records, batch_size, clip, epsilon, delta)
    steps = steps_per_round * participations
    _check_share(warm_start_share, steps)
    warm_noise, step_noise = 0.0, 0.0
    if level == "record" and warm_start_share > 0:
        share = warm_start_share if steps else 1.0
        warm_noise = _warm_start_noise(share * epsilon, delta, accountant)
    if level == "record" and steps:
        warm_start = [Gaussian(warm_noise)] if warm_noise else []
        step_noise = calibrate_noise(
            epsilon,
            delta=delta,
            events_of=lambda noise: [
                *warm_start,
                SelfComposed(steps, PoissonSampled(batch_size / records, Gaussian(noise))),
            ],
            accountant=accountant,
        )
    return PrivacyPlan(
        level=level,
        records=records,
        expected_batch=batch_size,
        clip=clip,
        noise_multiplier=step_noise,
        warm_start_noise=warm_noise,
        steps_per_round=steps_per_round,
        participations=participations,
        delta=delta,
        epsilon=epsilon,
        accountant=accountant,
        clipping_engine=clipping_engine,
    )


def warnings(plan: PrivacyPlan) -> list[str]:
    """Return what a user should know about `plan`, a sentence each."""
    if plan.level == "record" and plan.delta > 1 / plan.records:
        return [
            f"privacy.delta = {plan.delta:g} exceeds 1/records = {1 / plan.records:.3g}: "
            "a mechanism that publishes one whole record at random would satisfy it"
        ]
    return []


@lru_cache(maxsize=256)
def _warm_start_noise(epsilon: float, delta: float, accountant: str) -> float:
    return calibrate_noise(epsilon, delta=delta, events_of=lambda noise: [Gaussian(noise)], accountant=accountant)


def _check(level: str, records: int, batch_size: int, clip: float, epsilon: float, delta: float) -> None:
    if level not in ("none", "record"):
        raise bad_value("privacy.level", level, '"record" or "none"')
    if not 0 < epsilon < math.inf:
        raise bad_value("privacy.epsilon", epsilon, "a positive number")
    check_delta(delta)
    if not 0 < clip < math.inf:
        raise bad_value("privacy.clip", clip, "a positive number")
    if batch_size < 1:
        raise bad_value("training.batch_size", batch_size, "an integer of at least 1")
    if batch_size > records:
        raise bad_value("training.batch_size", batch_size, f"at most {records}, the records of a client")


def _check_share(share: float, steps: int) -> None:
    if not 0 <= share <= 1:
        raise bad_value("privacy.warm_start_share", share, "a number in [0, 1]")
    if share == 1 and steps:
        raise UsageError("privacy.warm_start_share = 1 leaves no epsilon for the steps: give less than 1, or 0 steps")
