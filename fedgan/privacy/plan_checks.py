"""Which settings a plan refuses: each function raises UsageError, naming the key, the value and what is accepted."""

from __future__ import annotations

import math

from fedgan.errors import UsageError, bad_value
from fedgan.privacy.accounting import check_delta


def check_limits(level: str, clip: float, epsilon: float, delta: float) -> None:
    """Refuse a level that there is not, and an epsilon, delta or clip out of range."""
    if level not in ("none", "record", "client"):
        raise bad_value("privacy.level", level, '"record", "client" or "none"')
    if not 0 < epsilon < math.inf:
        raise bad_value("privacy.epsilon", epsilon, "a positive number")
    check_delta(delta)
    if not 0 < clip < math.inf:
        raise bad_value("privacy.clip", clip, "a positive number")


def check_share(share: float, steps: int) -> None:
    """Refuse a share of epsilon for the warm start that leaves nothing for `steps`, or that is none."""
    if not 0 <= share <= 1:
        raise bad_value("privacy.warm_start_share", share, "a number in [0, 1]")
    if share == 1 and steps:
        raise UsageError("privacy.warm_start_share = 1 leaves no epsilon for the steps: give less than 1, or 0 steps")


def check_evaluation(evaluation_epsilon: float, level: str, epsilon: float) -> None:
    """Refuse to leave more room than there is, or room for what tells nothing."""
    if level != "none" and not 0 <= evaluation_epsilon < epsilon:
        accepted = f"a number in [0, {epsilon:g}), below privacy.epsilon"
        raise bad_value("privacy.evaluation_epsilon", evaluation_epsilon, accepted)
    if level == "client" and evaluation_epsilon > 0:
        accepted = "0: noise that hides a whole client leaves nothing of counts of its records"
        raise bad_value("privacy.evaluation_epsilon", evaluation_epsilon, accepted)


def check_room(evaluation_epsilon: float, before: float, epsilon: float) -> None:
    """Refuse a reserve with which the warm start costs `before`, and nothing of `epsilon` is left for the steps."""
    if evaluation_epsilon > 0 and before >= epsilon:
        accepted = (
            f"less, or a smaller privacy.warm_start_share: with the warm start it costs {before:.4g} of the "
            f"{epsilon:g}, which leaves nothing for the rounds"
        )
        raise bad_value("privacy.evaluation_epsilon", evaluation_epsilon, accepted)
