"""From what was done to the epsilon that is reported: never too low."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_EVENTS = "fedgan/privacy/events.py"
_PLAN = "fedgan/privacy/plan.py"
_TESTS = "tests/privacy/test_accounting.py"
_PLAN_TESTS = "tests/privacy/test_plan.py"
_SHARED = f"{_TESTS}::test_one_sample_shared_by_many_mechanisms_is_not_many_samples"

MUTANTS = (
    Mutant(
        name="flattened-inside-a-sample",
        breaks="many mechanisms on one sample are not as cheap as many samples with one mechanism each",
        file=_EVENTS,
        before="        case Gaussian() | PoissonSampled():",
        after="        case PoissonSampled(probability, SelfComposed(count, inner)):\n"
        "            _count(PoissonSampled(probability, inner), times * count, counts)\n"
        "        case Gaussian() | PoissonSampled():",
        killed_by=(_SHARED,),
    ),
    Mutant(
        name="one-mechanism-inside-a-sample",
        breaks="every mechanism on one sample counts",
        file="fedgan/privacy/accountant.py",
        before="return count * _precision(inner)",
        after="return _precision(inner)",
        killed_by=(_SHARED,),
    ),
    Mutant(
        name="equal-rounds-count-once",
        breaks="rounds compose, however alike they are",
        file=_EVENTS,
        before="counts[event] += times",
        after="counts[event] = times",
        killed_by=(
            f"{_TESTS}::test_rounds_compose_and_neither_one_of_them_nor_their_sum_is_the_cost",
            f"{_TESTS}::test_tally_flattens_composition_only",
        ),
    ),
    Mutant(
        name="full-batch-gaussians-count-once",
        breaks="releases that read every record compose",
        file="fedgan/privacy/accountants/pld.py",
        before="noise / math.sqrt(count),",
        after="noise,",
        killed_by=(f"{_TESTS}::test_gaussians_against_their_closed_form[5]",),
    ),
    Mutant(
        name="rate-halved",
        breaks="the event that is charged has the rate at which records are drawn",
        file=_PLAN,
        before="PoissonSampled(self.probability,",
        after="PoissonSampled(self.probability / 2,",
        killed_by=(
            f"{_PLAN_TESTS}::test_warm_start_and_steps_together_spend_epsilon_tightly",
            "tests/federation/test_vault.py::test_the_ledger_grows_by_the_plans_event",
        ),
    ),
    Mutant(
        name="a-round-charged-as-a-step",
        breaks="every step of a round is charged",
        file=_PLAN,
        before="return SelfComposed(steps, ",
        after="return SelfComposed(1, ",
        killed_by=(
            f"{_PLAN_TESTS}::test_warm_start_and_steps_together_spend_epsilon_tightly",
            "tests/federation/test_vault.py::test_the_ledger_grows_by_the_plans_event",
        ),
    ),
    Mutant(
        name="warm-start-forgotten-in-calibration",
        breaks="the steps' noise leaves room for what the warm start costs",
        file="fedgan/privacy/plan_noise.py",
        before="[*warm_start, SelfComposed(",
        after="[SelfComposed(",
        killed_by=(f"{_PLAN_TESTS}::test_warm_start_and_steps_together_spend_epsilon_tightly",),
    ),
    Mutant(
        name="evaluation-forgotten-in-calibration",
        breaks="the noise of training leaves room for the evaluation that is reserved",
        file=_PLAN,
        before="        reserved = (Gaussian(evaluation_noise),)\n",
        after="",
        killed_by=(f"{_PLAN_TESTS}::test_room_for_an_evaluation_is_left",),
    ),
    Mutant(
        name="warm-start-not-in-the-plan",
        breaks="a planned epsilon covers the warm start",
        file=_PLAN,
        before="return self.warm_start_events() + rounds",
        after="return rounds",
        killed_by=(f"{_PLAN_TESTS}::test_warm_start_and_steps_together_spend_epsilon_tightly",),
    ),
    Mutant(
        name="too-little-noise",
        breaks="calibrated noise keeps its target",
        file="fedgan/privacy/accounting.py",
        before="return fine.x",
        after="return 0.98 * fine.x",
        killed_by=(f"{_TESTS}::test_calibrated_noise_meets_the_target_and_less_breaks_it[1.0-1e-05-pld]",),
    ),
    Mutant(
        name="no-warning-of-a-large-delta",
        breaks="a user is told of a delta at which one whole record may be published",
        file=_PLAN,
        before="plan.delta > 1 / plan.units",
        after="plan.delta > 1",
        killed_by=(
            f"{_PLAN_TESTS}::test_delta_above_one_over_records_is_a_warning",
            f"{_PLAN_TESTS}::test_delta_above_one_over_clients_is_a_warning",
        ),
        dies_of=("ValueError",),
    ),
    Mutant(
        name="asked-more-often-than-planned",
        breaks="no client is asked more often than its noise was calibrated for",
        file="fedgan/federation/cohort.py",
        before="return ceil(rounds * ",
        after="return int(rounds * ",
        killed_by=("tests/federation/test_cohort.py::test_the_bound_is_reached",),
    ),
)
