"""From what an attack saw to lower bounds on epsilon, and to the verdict on what was claimed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fedgan.audit.attack.claim import Claim
from fedgan.audit.attack.clopper_pearson import clopper_pearson_bound
from fedgan.audit.attack.f_dp import f_dp_bound
from fedgan.audit.attack.guesses import Guesses, Membership, Scores, guess
from fedgan.audit.attack.noise_family import NoiseFamily
from fedgan.audit.attack.one_run import one_run_bound
from fedgan.audit.attack.ranking import auc, tpr_at_fpr
from fedgan.privacy.events import Event

STRONGEST = "gradient"
"""The attack that is given half of the significance, where others share a run with it."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What an attack saw.

    Attributes:
        attack: its name.
        scores: (m,) one a canary.
        included: (m,) the canaries' coins.
        claim: what is claimed about these canaries.
    """

    attack: str
    scores: Scores
    included: Membership
    claim: Claim


@dataclass(frozen=True)
class Bound:
    """A lower bound on epsilon, from guesses about some canaries.

    Attributes:
        method: "one_run", "one_run_f_dp" or "clopper_pearson".
        guesses: how many canaries were guessed, and rightly.
        epsilon: the bound, >= 0, at the claim's delta.
    """

    method: str
    guesses: Guesses
    epsilon: float


@dataclass(frozen=True)
class Finding:
    """One attack's result.

    Attributes:
        attack: its name.
        canaries: how many coins there were.
        included: how many of them said "in".
        auc: area under the ROC curve, in [0, 1].
        tpr: part of the members found at 1 % false alarms, in [0, 1].
        claimed: the claimed epsilon; None where nothing is claimed.
        bounds: lower bounds by method.
    """

    attack: str
    canaries: int
    included: int
    auc: float
    tpr: float
    claimed: float | None
    bounds: tuple[Bound, ...]

    @property
    def exceeded(self) -> bool:
        """Whether a lower bound is above the claim."""
        return self.claimed is not None and any(bound.epsilon > self.claimed for bound in self.bounds)

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as a JSON object."""
        return {
            "attack": self.attack,
            "canaries": self.canaries,
            "included": self.included,
            "auc": self.auc,
            "tpr_at_1_percent_fpr": self.tpr,
            "claimed_epsilon": self.claimed,
            "exceeded": self.exceeded,
            "bounds": [
                {
                    "method": bound.method,
                    "guesses": bound.guesses.guessed,
                    "correct": bound.guesses.correct,
                    "epsilon": bound.epsilon,
                }
                for bound in self.bounds
            ],
        }


def judge_all(evidence: Sequence[Evidence], *, confidence: float) -> tuple[Finding, ...]:
    """Judge every attack so that all bounds together hold with `confidence` in (0, 1).

    The significance 1 - `confidence` is divided among the attacks before any score is read (Bonferroni), so that
    running more of them makes no false alarm likelier.
    """
    shares = shares_of([one.attack for one in evidence])
    return tuple(
        judge(one, family=_family(one.claim.clients, one.claim.delta), significance=(1 - confidence) * share)
        for one, share in zip(evidence, shares, strict=True)
    )


@lru_cache(maxsize=16)
def _family(clients: tuple[tuple[Event, ...], ...], delta: float) -> NoiseFamily | None:
    return NoiseFamily(clients, delta=delta) if clients else None


def shares_of(attacks: Sequence[str]) -> list[float]:
    """Return each attack's part of the significance: half for the strongest, the rest in equal parts; 1 in all."""
    others = sum(attack != STRONGEST for attack in attacks)
    alone = others == 0 or others == len(attacks)
    return [1 / len(attacks) if alone else 0.5 if attack == STRONGEST else 0.5 / others for attack in attacks]


def judge(evidence: Evidence, *, family: NoiseFamily | None, significance: float) -> Finding:
    """Return an attack's bounds, which all hold together but with probability `significance` at most.

    Half of it goes to the error rates of `clopper_pearson`, half to the number of correct guesses. The two bounds made
    of that number need no share each: both refute a claim where the number is large enough, so that one of the two
    events contains the other.

    Args:
        evidence: what the attack saw.
        family: the claimed events, whose trade-off curve the f-DP bound is held against; None for the curve of
            (epsilon, delta) alone.
        significance: in (0, 1).
    """
    significance /= 2
    scores, included, delta = evidence.scores, evidence.included, evidence.claim.delta
    guesses = guess(scores, included)
    if family is not None:
        refined = family.bound(guesses, significance=significance)
    else:
        refined = f_dp_bound(guesses, delta=delta, significance=significance)
    rates, flagged = clopper_pearson_bound(scores, included, delta=delta, significance=significance)
    return Finding(
        attack=evidence.attack,
        canaries=len(scores),
        included=int(included.sum()),
        auc=auc(scores, included),
        tpr=tpr_at_fpr(scores, included),
        claimed=evidence.claim.epsilon,
        bounds=(
            Bound("one_run", guesses, one_run_bound(guesses, delta=delta, significance=significance)),
            Bound("one_run_f_dp", guesses, refined),
            Bound("clopper_pearson", flagged, rates),
        ),
    )
