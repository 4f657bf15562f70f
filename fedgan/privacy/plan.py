"""The one plan of a client's privacy that its sampler, its noise and its accountant all read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from fedgan.privacy.accounting import epsilon as total_epsilon
from fedgan.privacy.curve import epsilon_curve
from fedgan.privacy.events import Composed, Event, Gaussian, PoissonSampled, SelfComposed
from fedgan.privacy.plan_checks import check_evaluation, check_limits, check_room, check_share
from fedgan.privacy.plan_noise import evaluation_noise_for, step_noise_for, warm_start_noise_for

Level = Literal["none", "record", "client"]
Trust = Literal["local", "aggregator"]

COUNT_SHARE = 0.05
"""Part of a round's precision (1/z^2) that pays for the noisy count of clipped updates, where the clip adapts."""


@dataclass(frozen=True, kw_only=True)
class PrivacyPlan:
    """What one client's training may do to its records; made by `make_plan`, which calibrates the noise.

    Guarantee: all planned and reserved events together cost at most `epsilon` at `delta` for adding or removing one
    record (level "record") or one client with everything it holds (level "client"). With trust "local" this holds
    against everybody, with trust "aggregator" against everybody but the server, which adds the noise. At level "none"
    there is no noise and no guarantee, and the privacy fields say what was configured.

    Args:
        level: whose presence is hidden.
        trust: who adds the noise: each client, or the server.
        records: how many records the client holds.
        clients: how many clients the federation has.
        probability: with which each record enters a step (level "record"), or each client a round (level "client"),
            independently of all others.
        clip: bound on the L2 norm of one record's gradient, or of one client's update where the run begins.
        noise_multiplier: standard deviation of the noise of one step or of one round's update, in units of the clip.
        count_noise: noise multiplier of the count of clients whose update was clipped, 0.0 where the clip is fixed.
        warm_start_noise: noise multiplier of the warm start as a whole; 0.0 means that there is none.
        warm_start_shares: the part of the warm start's precision (1/z^2) that each release has; one has 1.0.
        steps_per_round: private mechanisms in a round: discriminator steps, or one update at level "client".
        participations: rounds that the client is asked in at most.
        delta: in (0, 1).
        epsilon: the most that the whole run may cost.
        accountant: a name in `fedgan.privacy.accountant.ACCOUNTANTS`.
        clipping_engine: a name in `fedgan.privacy.clipping.ENGINES`.
        evaluation_noise: noise multiplier of the evaluation that training leaves room for, 0.0 for none.
    """

    level: Level
    trust: Trust
    records: int
    clients: int
    probability: float
    clip: float
    noise_multiplier: float
    count_noise: float
    warm_start_noise: float
    warm_start_shares: tuple[float, ...]
    steps_per_round: int
    participations: int
    delta: float
    epsilon: float
    accountant: str
    clipping_engine: str
    evaluation_noise: float = 0.0

    @property
    def expected_batch(self) -> float:
        """Records in a discriminator step on average, at level "record"."""
        return self.probability * self.records

    @property
    def units(self) -> int:
        """How many there are of what the guarantee hides: the client's records, or the clients."""
        return self.clients if self.level == "client" else self.records

    def warm_start_multiplier(self, stage: int = 0) -> float:
        """Return the noise multiplier of release `stage`, from 0; 0.0 where there is no noise.

        Gaussians of multipliers z_i compose into one of (sum of 1/z_i^2)^(-1/2) (Dong et al. 2022, arXiv:1905.02383,
        corollary 3.3), so shares of 1/z^2 divide a warm start into releases at no cost.
        """
        return self.warm_start_noise / math.sqrt(self.warm_start_shares[stage])

    def warm_start_multipliers(self) -> list[float]:
        """Return the noise multipliers of all releases of the warm start."""
        return [self.warm_start_multiplier(stage) for stage in range(len(self.warm_start_shares))]

    def warm_start_event(self, stage: int = 0) -> Event:
        """Return the event of release `stage`, from 0, of the warm start; ValueError if the plan holds none."""
        if self.level == "none" or self.warm_start_noise == 0:
            raise ValueError("this plan holds no private warm start")
        return Gaussian(self.warm_start_multiplier(stage))

    def warm_start_events(self) -> tuple[Event, ...]:
        """Return the events of all releases of the warm start; empty without a private one."""
        if self.level == "none" or self.warm_start_noise == 0:
            return ()
        return tuple(Gaussian(multiplier) for multiplier in self.warm_start_multipliers())

    def round_event(self, steps: int) -> Event:
        """Return the event of a round with `steps` >= 1 private mechanisms; ValueError if the plan holds none."""
        if self.level == "none" or self.noise_multiplier == 0:
            raise ValueError("this plan holds no private steps")
        mechanism: Event = Gaussian(self.noise_multiplier)
        if self.count_noise:
            mechanism = Composed((mechanism, Gaussian(self.count_noise)))
        return SelfComposed(steps, PoissonSampled(self.probability, mechanism))

    def planned_events(self) -> tuple[Event, ...]:
        """Return everything that may be charged: the warm start and every round in full; empty at level "none"."""
        if self.level == "none":
            return ()
        rounds = (self.round_event(self.steps_per_round),) * self.participations if self.noise_multiplier > 0 else ()
        return self.warm_start_events() + rounds

    def reserved_events(self) -> tuple[Event, ...]:
        """Return what an evaluation may charge after all planned events; empty where no room is left for one."""
        return (Gaussian(self.evaluation_noise),) if self.evaluation_noise > 0 else ()

    def planned_epsilon(self) -> float:
        """Return the epsilon at `delta` if all planned events run: at most `epsilon`; infinite at level "none"."""
        if self.level == "none":
            return math.inf
        return total_epsilon(self.planned_events(), delta=self.delta, accountant=self.accountant)

    def warm_start_epsilon(self) -> float:
        """Return what the warm start costs on its own at `delta`: 0.0 without one, infinite at level "none"."""
        if self.level == "none":
            return math.inf
        return total_epsilon(self.warm_start_events(), delta=self.delta, accountant=self.accountant)

    def epsilon_by_round(self, *, every: int = 1) -> list[float]:
        """Return epsilon after the warm start (0.0 without one) and after each round that the client is asked in.

        With `every` > 1 only some values are computed, see `epsilon_curve`. Empty at level "none".
        """
        if self.level == "none":
            return []
        releases = len(self.warm_start_events())
        events = self.planned_events()
        points = [events[:releases], *((event,) for event in events[releases:])]
        return epsilon_curve(points, delta=self.delta, accountant=self.accountant, every=every)


@lru_cache(maxsize=4096)
def make_plan(
    *,
    level: Level,
    records: int,
    probability: float,
    clip: float,
    epsilon: float,
    delta: float,
    accountant: str,
    clipping_engine: str,
    warm_start_share: float,
    steps_per_round: int,
    participations: int,
    trust: Trust = "local",
    clients: int = 1,
    adaptive_clip: bool = False,
    warm_start_shares: tuple[float, ...] = (1.0,),
    evaluation_epsilon: float = 0.0,
) -> PrivacyPlan:
    """Calibrate the noise of a client and return its plan; equal arguments return the cached plan.

    The warm start alone costs `warm_start_share` * `epsilon`; the steps get the noise with which everything together
    costs `epsilon`, which is more than the remaining share since composition is cheaper than addition.

    An adaptive clip needs a noisy count of clipped updates in every round (Andrew et al. 2021, arXiv:1905.03871,
    theorem 1): of the precision 1/z^2 that a round may have, `COUNT_SHARE` goes to the count, the rest to the update.

    Args:
        level: "record", "client" or "none".
        records: how many records the client holds, >= 1.
        probability: of each record in a step, or of each client in a round, in (0, 1].
        clip: > 0.
        epsilon: > 0, for the whole run.
        delta: in (0, 1).
        accountant: a name in `fedgan.privacy.accountant.ACCOUNTANTS`.
        clipping_engine: a name in `fedgan.privacy.clipping.ENGINES`, not checked here as that would import torch.
        warm_start_share: the part of `epsilon` that the warm start alone may cost: 0 for no warm start, below 1 where
            there are steps. Without steps a warm start gets all.
        steps_per_round: private mechanisms in a round, >= 0.
        participations: rounds that the client is asked in at most, >= 0.
        trust: "local" or "aggregator".
        clients: how many clients the federation has, >= 1.
        adaptive_clip: whether the clip follows a charged quantile of the updates' norms; level "client" alone.
        warm_start_shares: how the warm start's precision is shared between its releases: positive, 1 in sum.
        evaluation_epsilon: what one evaluation by noisy counts of records may cost by itself; the training is planned
            as if it had been charged already. Below `epsilon`, 0 for none; level "record" alone.

    Raises:
        UsageError: a value out of range, or a target that no noise meets.
        ValueError: `probability` is not in (0, 1], or the shares are none.
    """
    check_limits(level, clip, epsilon, delta)
    if not 0 < probability <= 1:
        raise ValueError(f"probability = {probability} must be in (0, 1]")
    if min(warm_start_shares, default=0.0) <= 0 or not math.isclose(sum(warm_start_shares), 1.0):
        raise ValueError(f"warm_start_shares = {warm_start_shares} must be positive and 1 in sum")
    steps = steps_per_round * participations
    check_share(warm_start_share, steps)
    check_evaluation(evaluation_epsilon, level, epsilon)
    evaluation_noise, reserved = 0.0, tuple[Event, ...]()
    if level != "none" and evaluation_epsilon > 0:
        evaluation_noise = evaluation_noise_for(evaluation_epsilon, delta, accountant)
        reserved = (Gaussian(evaluation_noise),)
    warm_noise, step_noise = 0.0, 0.0
    if level != "none" and warm_start_share > 0:
        if steps:
            warm_noise = warm_start_noise_for(warm_start_share * epsilon, delta, accountant, warm_start_shares)
            if reserved:
                before = (*reserved, Gaussian(warm_noise))  # all releases of the warm start together
                check_room(evaluation_epsilon, total_epsilon(before, delta=delta, accountant=accountant), epsilon)
        else:
            warm_noise = warm_start_noise_for(epsilon, delta, accountant, warm_start_shares, reserved)
    if level != "none" and steps:
        step_noise = step_noise_for(
            warm_noise, warm_start_shares, probability, steps, epsilon, delta, accountant, reserved
        )
    counted = adaptive_clip and step_noise > 0
    return PrivacyPlan(
        level=level,
        trust=trust,
        records=records,
        clients=clients,
        probability=probability,
        clip=clip,
        noise_multiplier=step_noise / math.sqrt(1 - COUNT_SHARE) if counted else step_noise,
        count_noise=step_noise / math.sqrt(COUNT_SHARE) if counted else 0.0,
        warm_start_noise=warm_noise,
        warm_start_shares=warm_start_shares,
        steps_per_round=steps_per_round,
        participations=participations,
        delta=delta,
        epsilon=epsilon,
        accountant=accountant,
        clipping_engine=clipping_engine,
        evaluation_noise=evaluation_noise,
    )


def warnings(plan: PrivacyPlan) -> list[str]:
    """Return what a user should know about `plan`, a sentence each."""
    if plan.level != "none" and plan.delta > 1 / plan.units:
        what = "record" if plan.level == "record" else "client"
        return [
            f"privacy.delta = {plan.delta:g} exceeds 1/{what}s = {1 / plan.units:.3g}: "
            f"a mechanism that publishes all of one {what} at random would satisfy it"
        ]
    return []
