"""How well scores tell members from others: area under the ROC curve, and the part found at few false alarms."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from fedgan.audit.attack.guesses import Membership, Scores, check_scores


def auc(scores: Scores, included: Membership) -> float:
    """Return the chance that a member scores above a non-member, ties counting half; 0.5 where either is missing."""
    check_scores(scores, included)
    members = int(included.sum())
    others = len(scores) - members
    if members == 0 or others == 0:
        return 0.5
    ranks = rankdata(scores)
    return float((ranks[included].sum() - members * (members + 1) / 2) / (members * others))


def tpr_at_fpr(scores: Scores, included: Membership, fpr: float = 0.01) -> float:
    """Return the part of the members above the lowest threshold that at most a part `fpr` of the others reaches."""
    check_scores(scores, included)
    others = np.sort(scores[~included])[::-1]
    if not included.any() or len(others) == 0:
        return 0.0
    allowed = int(fpr * len(others))
    return float((scores[included] > others[min(allowed, len(others) - 1)]).mean())


def roc_curve(scores: Scores, included: Membership) -> tuple[Scores, Scores]:
    """Return false and true positive rates from (0, 0) to (1, 1); equal scores pass a threshold together."""
    check_scores(scores, included)
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    true, false = np.cumsum(included[order])[ends], np.cumsum(~included[order])[ends]
    rates = [np.concatenate([[0.0], counts / max(1, counts[-1])]) for counts in (false, true)]
    return rates[0], rates[1]
