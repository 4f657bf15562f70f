"""The limit that a vault keeps, and the report of what was spent."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_VAULT = "fedgan/federation/vault.py"
_BUDGET = "fedgan/privacy/budget.py"
_AUDIT = "fedgan/audit/budget.py"
_VAULT_TESTS = "tests/federation/test_vault.py"
_PLAN_TESTS = "tests/privacy/test_plan.py"
_AUDIT_TESTS = "tests/audit/test_budget.py"
_ALLOWS = "self._budget.allows(ledger.events, event)"

MUTANTS = (
    Mutant(
        name="accountant-rebuilt-each-round",
        breaks="a budget covers every charge so far, over rounds and runs",
        file=_VAULT,
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
        file=_VAULT,
        before=f"not {_ALLOWS}",
        after="ledger.events and not self._budget.allows(ledger.events[:-1], ledger.events[-1])",
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
        file="fedgan/federation/simulation.py",
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
        before="worst = max(",
        after="worst = min(",
        killed_by=(
            f"{_AUDIT_TESTS}::test_report_has_the_documented_form_and_values",
            f"{_AUDIT_TESTS}::test_the_limit_is_a_limit_on_the_largest",
        ),
    ),
    Mutant(
        name="epsilons-of-clients-summed",
        breaks="mechanisms on disjoint records compose in parallel: the largest epsilon counts, not the sum",
        file=_AUDIT,
        before="worst = max(",
        after="worst = sum(",
        killed_by=(f"{_AUDIT_TESTS}::test_report_has_the_documented_form_and_values",),
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
        file=_AUDIT,
        before="for ledger in ledgers for line in ledger if line.event is not None]",
        after="for ledger in ledgers[:1] for line in ledger if line.event is not None]",
        killed_by=(f"{_AUDIT_TESTS}::test_different_ledgers_of_one_client_add_up",),
    ),
    Mutant(
        name="last-round-reported",
        breaks="a report covers every round, not the last one",
        file=_AUDIT,
        before="epsilon=epsilon(events, delta",
        after="epsilon=epsilon(events[-1:], delta",
        killed_by=(
            f"{_AUDIT_TESTS}::test_report_has_the_documented_form_and_values",
            f"{_AUDIT_TESTS}::test_different_ledgers_of_one_client_add_up",
        ),
    ),
)
