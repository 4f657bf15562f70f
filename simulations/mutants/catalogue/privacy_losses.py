"""Privacy loss distributions: rounded up, with all that is cut off, and in both directions."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_LOSSES = "fedgan/privacy/loss_distribution.py"
_PLD = "fedgan/privacy/accountants/pld.py"
_TESTS = "tests/privacy/test_loss_distribution.py"
_ACCOUNTING_TESTS = "tests/privacy/test_accounting.py"
_BOTH = f"{_TESTS}::test_both_directions_are_composed_and_the_worse_one_counts"
_REFERENCE = f"{_ACCOUNTING_TESTS}::test_equals_dp_accounting_called_directly"
_ENDS = tuple(f"{_REFERENCE}[pld-PLDAccountant-{seed}]" for seed in range(2))
_DIRECTIONS = "((True, False) if sampled else (True,))"

MUTANTS = (
    Mutant(
        name="optimistic-grid",
        breaks="rounding a privacy loss to a grid never lowers epsilon",
        file=_LOSSES,
        before="LossDistribution(interval, lowest, _connect",
        after="LossDistribution(interval, lowest - 1, _connect",
        killed_by=(f"{_ACCOUNTING_TESTS}::test_gaussians_against_their_closed_form",),
    ),
    Mutant(
        name="tail-of-a-mechanism-for-free",
        breaks="noise beyond the grid counts as an infinite loss",
        file=_LOSSES,
        before="_connect(deltas, interval), float(deltas[-1]))",
        after="_connect(deltas, interval), 0.0)",
        killed_by=tuple(
            f"{_TESTS}::test_one_mechanism_is_dp_accountings[{mechanism}-True]" for mechanism in ("1.0-0.3", "0.2-1.1")
        ),
    ),
    Mutant(
        name="infinite-loss-of-repetitions-dropped",
        breaks="the more often a mechanism runs, the likelier is an infinite loss",
        file=_LOSSES,
        before="infinite = _TAIL - math.expm1(count * math.log1p(-self.infinite))",
        after="infinite = self.infinite",
        killed_by=(f"{_TESTS}::test_infinite_losses_compose",),
    ),
    Mutant(
        name="tail-of-a-composition-for-free",
        breaks="what a composition cuts off counts as an infinite loss",
        file=_LOSSES,
        before="infinite = _TAIL - math.expm1(",
        after="infinite = -math.expm1(",
        killed_by=(f"{_TESTS}::test_infinite_losses_compose",),
    ),
    Mutant(
        name="infinite-loss-of-the-other-dropped",
        breaks="a sum of losses is infinite where either is",
        file=_LOSSES,
        before="self.infinite + other.infinite - self.infinite * other.infinite + above",
        after="self.infinite + above",
        killed_by=(f"{_TESTS}::test_infinite_losses_compose",),
    ),
    Mutant(
        name="infinite-loss-not-in-delta",
        breaks="an infinite loss adds its whole probability to delta",
        file=_LOSSES,
        before="self.infinite + np.cumsum(masses)\n",
        after="np.cumsum(masses)\n",
        killed_by=(f"{_TESTS}::test_edges_of_epsilon",),
    ),
    Mutant(
        name="removal-left-out",
        breaks="a guarantee holds for removing a record",
        file=_PLD,
        before=_DIRECTIONS,
        after="((False,) if sampled else (True,))",
        killed_by=(_BOTH, *_ENDS),
    ),
    Mutant(
        name="addition-left-out",
        breaks="a guarantee holds for adding a record",
        file=_PLD,
        before=_DIRECTIONS,
        after="(True,)",
        killed_by=(_BOTH,),
    ),
    Mutant(
        name="better-direction-counts",
        breaks="a guarantee is that of the worse direction",
        file=_PLD,
        before="max(loss.epsilon(delta)",
        after="min(loss.epsilon(delta)",
        killed_by=(_BOTH, *_ENDS),
    ),
)
