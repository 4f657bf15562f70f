"""The limit that a vault keeps, and the report of what was spent."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_ACCOUNT = "fedgan/federation/account.py"
_BUDGET = "fedgan/privacy/budget.py"
_AUDIT = "fedgan/audit/budget.py"
_SUMMARY = "fedgan/audit/summary.py"
_FUSION = "fedgan/federation/fusion.py"
_FUSE_TESTS = "tests/cli/test_fuse_command.py"
_VAULT_TESTS = "tests/federation/test_vault.py"
_PLAN_TESTS = "tests/privacy/test_plan.py"
_AUDIT_TESTS = "tests/audit/test_budget.py"
_LEVELS = "fedgan/privacy/levels.py"
_LEVEL_TESTS = "tests/privacy/test_levels.py"
_LEVEL_VAULT_TESTS = "tests/federation/test_vault_levels.py"
_SPENT = "ledger.events_at(self._plan.level)"
_ALLOWS = f"self._budget.allows({_SPENT}, event)"
_TOGETHER = "sum(max(cost(charges, level, delta, accountant) for charges in group) for group in groups)"

MUTANTS = (
    Mutant(
        name="fused-at-the-price-of-one-part",
        breaks="a generator made of runs on the same records costs what these runs cost together",
        file=_FUSION,
        before="budget = audit_budget([target.path]) if private else None",
        after="budget = audit_budget([target.parts / names[0]]) if private else None",
        killed_by=(f"{_FUSE_TESTS}::test_runs_that_may_divide_records_differently_add_up",),
    ),
    Mutant(
        name="fused-card-believed",
        breaks="verification recomputes what a fused generator's card claims",
        file="fedgan/audit/fused_files.py",
        before="if not (claimed == spent.epsilon or",
        after="if False and not (claimed == spent.epsilon or",
        killed_by=(f"{_FUSE_TESTS}::test_tampering_is_found[a lower epsilon]",),
    ),
    Mutant(
        name="a-promise-over-a-part-without-one",
        breaks="a fused generator promises nothing where one of its parts does not",
        file=_FUSION,
        before='private = all(card.get("level") != "none" for card in cards)',
        after='private = any(card.get("level") != "none" for card in cards)',
        killed_by=(f"{_FUSE_TESTS}::test_a_part_without_privacy_leaves_none",),
    ),
    Mutant(
        name="accountant-rebuilt-each-round",
        breaks="a budget covers every charge so far, over rounds and runs",
        file=_ACCOUNT,
        before=_ALLOWS,
        after="self._budget.allows((), event)",
        killed_by=(
            f"{_VAULT_TESTS}::test_a_spent_budget_computes_nothing",
            f"{_VAULT_TESTS}::test_the_budget_outlives_the_vault",
        ),
    ),
    Mutant(
        name="budget-forgets-what-was-spent",
        breaks="a budget adds what is proposed to what was spent",
        file=_BUDGET,
        before="events = [*spent, proposed]",
        after="events = [proposed]",
        killed_by=(f"{_PLAN_TESTS}::test_budget_allows_the_plan_and_not_a_step_more",),
    ),
    Mutant(
        name="budget-checked-afterwards",
        breaks="a charge that would pass the limit is refused, not the one after it",
        file=_ACCOUNT,
        before=f"not {_ALLOWS}",
        after=f"{_SPENT} and not self._budget.allows({_SPENT}[:-1], {_SPENT}[-1])",
        killed_by=(
            f"{_VAULT_TESTS}::test_a_spent_budget_computes_nothing",
            f"{_VAULT_TESTS}::test_a_second_warm_start_is_over_the_budget",
        ),
    ),
    Mutant(
        name="ledger-for-each-run",
        breaks="a budget that is to last over runs does",
        file="fedgan/federation/simulation.py",
        before="return Path(config.privacy.ledgers).expanduser() if config.privacy.ledgers else folder.ledgers",
        after="return folder.ledgers",
        killed_by=("tests/federation/test_simulation.py::test_a_budget_goes_on_over_runs",),
    ),
    Mutant(
        name="clients-left-out-of-the-report",
        breaks="the epsilon of a run covers every client that took part",
        file="fedgan/federation/run.py",
        before="audit_budget(files, delta",
        after="audit_budget(files[:1], delta",
        killed_by=("tests/federation/test_simulation.py::test_a_run_spends_what_was_planned",),
    ),
    Mutant(
        name="certified-beyond-the-limit",
        breaks="a plan that costs more than the limit certifies nothing",
        file=_BUDGET,
        before=" and self._cost(self.certified) <= self.epsilon",
        after="",
        killed_by=(f"{_PLAN_TESTS}::test_certified_events_beyond_the_limit_certify_nothing",),
    ),
    Mutant(
        name="best-client-reported",
        breaks="the guarantee of a run is that of its worst client",
        file=_AUDIT,
        before=_TOGETHER,
        after=_TOGETHER.replace("max(", "min("),
        killed_by=(
            f"{_AUDIT_TESTS}::test_report_has_the_documented_form_and_values",
            f"{_AUDIT_TESTS}::test_the_limit_is_a_limit_on_the_largest",
        ),
    ),
    Mutant(
        name="epsilons-of-clients-summed",
        breaks="mechanisms on disjoint records compose in parallel: the largest epsilon counts, not the sum",
        file=_AUDIT,
        before=_TOGETHER,
        after=_TOGETHER.replace("max(", "sum("),
        killed_by=(f"{_AUDIT_TESTS}::test_report_has_the_documented_form_and_values",),
    ),
    Mutant(
        name="parts-taken-as-divided-alike",
        breaks="parts of a fused generator may divide the same records differently",
        file=_AUDIT,
        before='if overlap == "none" and not all(',
        after="if False and not all(",
        killed_by=("tests/cli/test_fuse_command.py::test_runs_that_may_divide_records_differently_add_up",),
    ),
    Mutant(
        name="smallest-delta-reported",
        breaks="epsilons are reported at the largest delta that anyone was charged with",
        file=_AUDIT,
        before="delta = max(",
        after="delta = min(",
        killed_by=(f"{_AUDIT_TESTS}::test_delta_is_the_largest_of_the_lines_unless_given",),
    ),
    Mutant(
        name="one-ledger-of-several",
        breaks="all ledgers of a client count, as they may be about the same records",
        file="fedgan/audit/holders.py",
        before="for ledger in self.ledgers), Counter())",
        after="for ledger in self.ledgers[:1]), Counter())",
        killed_by=(f"{_AUDIT_TESTS}::test_different_ledgers_of_one_client_add_up",),
    ),
    Mutant(
        name="curve-lags-behind",
        breaks="a point of the budget's curve that is not computed is bounded from above",
        file="fedgan/privacy/curve.py",
        before="curve += [value] * (number - len(curve))",
        after="curve += [*(curve[-1:] or [0.0]) * (number - len(curve) - 1), value]",
        killed_by=("tests/privacy/test_curve.py::test_values_that_are_left_out_are_bounded_by_the_next_one",),
    ),
    Mutant(
        name="last-round-reported",
        breaks="a report covers every round, not the last one",
        file=_SUMMARY,
        before="epsilon(events_of(charges, level), delta",
        after="epsilon(events_of(charges, level)[-1:], delta",
        killed_by=(
            f"{_AUDIT_TESTS}::test_report_has_the_documented_form_and_values",
            f"{_AUDIT_TESTS}::test_different_ledgers_of_one_client_add_up",
        ),
    ),
    Mutant(
        name="equal-charges-reported-once",
        breaks="a report counts a charge as often as it was made",
        file=_SUMMARY,
        before="SelfComposed(count, event_at(",
        after="SelfComposed(1, event_at(",
        killed_by=(
            f"{_AUDIT_TESTS}::test_report_has_the_documented_form_and_values",
            f"{_AUDIT_TESTS}::test_different_ledgers_of_one_client_add_up",
        ),
    ),
    Mutant(
        name="budget-counts-charges-as-written",
        breaks="a vault counts a charge as what it did to the presence that is hidden now, not as it was written",
        file=_ACCOUNT,
        before=_SPENT,
        after="ledger.events",
        killed_by=(
            f"{_LEVEL_VAULT_TESTS}::test_after_a_charge_for_a_record_no_budget_hides_a_client",
            f"{_LEVEL_VAULT_TESTS}::test_charges_for_a_client_count_in_full_for_a_record",
        ),
    ),
    Mutant(
        name="records-hide-their-client",
        breaks="a charge for one record says nothing of a client with many",
        file=_LEVELS,
        before='return of_one_record(event) if level == "record" else UNBOUNDED',
        after="return of_one_record(event)",
        killed_by=(
            f"{_LEVEL_TESTS}::test_a_ledger_answers_at_either_level",
            f"{_LEVEL_VAULT_TESTS}::test_after_a_charge_for_a_record_no_budget_hides_a_client",
        ),
    ),
    Mutant(
        name="a-record-of-a-client-at-one-clip",
        breaks="a record can turn its client's contribution round: twice the clip, half the noise",
        file=_LEVELS,
        before="return Gaussian(noise_multiplier / 2)",
        after="return Gaussian(noise_multiplier)",
        killed_by=(f"{_LEVEL_TESTS}::test_one_record_of_a_hidden_client_is_bounded[1.0-1.0]",),
    ),
    Mutant(
        name="a-record-sampled-with-its-client",
        breaks="the sampling of clients hides no record of one: its client is there on both sides",
        file=_LEVELS,
        before="return of_one_record(inner) if probability > 0 else Composed(())",
        after="return PoissonSampled(probability, of_one_record(inner))",
        killed_by=(f"{_LEVEL_TESTS}::test_every_kind_of_event_is_converted[event1-expected1]",),
    ),
)
