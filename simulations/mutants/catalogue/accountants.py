"""The accountants beside the usual one: each an upper bound, of all that ran, at the delta that is asked for."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_PRV = "fedgan/privacy/accountants/prv.py"
_RDP = "fedgan/privacy/accountants/rdp.py"
_TESTS = "tests/privacy/test_accounting.py"
_DELTA = f"{_TESTS}::test_epsilon_is_at_the_delta_that_is_asked_for"
_DIRECT = f"{_TESTS}::test_equals_dp_accounting_called_directly"
_ROUNDS = f"{_TESTS}::test_rounds_compose_and_neither_one_of_them_nor_their_sum_is_the_cost"

MUTANTS = (
    Mutant(
        name="prv-estimate-for-a-bound",
        breaks="what `prv` returns is the upper end of its interval, not the estimate in its middle",
        file=_PRV,
        before="lower, _, upper =",
        after="lower, upper, _ =",
        killed_by=(f"{_TESTS}::test_opacus_agrees_on_heterogeneous_events[2]",),
    ),
    Mutant(
        name="prv-lower-end",
        breaks="epsilon by `prv` is never below the true one",
        file=_PRV,
        before="return ends[1] if",
        after="return ends[0] if",
        killed_by=(f"{_DELTA}[prv-1.02-1e-09]",),
    ),
    Mutant(
        name="prv-counts-once",
        breaks="rounds compose for `prv` as for every accountant",
        file=_PRV,
        before="compute_epsilon(delta, list(times))",
        after="compute_epsilon(delta, [1] * len(times))",
        killed_by=(_ROUNDS,),
    ),
    Mutant(
        name="prv-at-a-usual-delta",
        breaks="epsilon by `prv` is the one at the delta that is asked for",
        file=_PRV,
        before="compute_epsilon(delta,",
        after="compute_epsilon(max(delta, 1e-5),",
        killed_by=(f"{_DELTA}[prv-1.02-1e-09]",),
    ),
    Mutant(
        name="prv-without-a-number",
        breaks="where `prv` finds no number it returns the bound of `rdp`",
        file=_PRV,
        before="if not (math.isfinite(lower) and math.isfinite(upper)):",
        after="if False:",
        killed_by=(f"{_TESTS}::test_prv_gives_the_bound_of_rdp_where_it_finds_no_number",),
    ),
    Mutant(
        name="no-number-costs-nothing",
        breaks="an accountant that finds no number does not make a run cost nothing",
        file="fedgan/privacy/accounting.py",
        before="return math.inf if math.isnan(value) else max(0.0, value)",
        after="return max(0.0, value)",
        killed_by=(f"{_TESTS}::test_what_is_no_number_is_no_epsilon_of_zero",),
    ),
    Mutant(
        name="rdp-counts-once",
        breaks="rounds compose for `rdp` as for every accountant",
        file=_RDP,
        before="sum(count * _divergences",
        after="sum(_divergences",
        killed_by=(f"{_DIRECT}[rdp-RdpAccountant-0]",),
    ),
    Mutant(
        name="rdp-amplified-twice",
        breaks="sampling amplifies once",
        file=_RDP,
        before="PoissonSampledDpEvent(probability,",
        after="PoissonSampledDpEvent(probability**2,",
        killed_by=(f"{_DIRECT}[rdp-RdpAccountant-0]",),
    ),
    Mutant(
        name="rdp-at-a-usual-delta",
        breaks="epsilon by `rdp` is the one at the delta that is asked for",
        file=_RDP,
        before="divergences, delta)[0]",
        after="divergences, max(delta, 1e-5))[0]",
        killed_by=(f"{_DELTA}[rdp-1.2-1e-09]",),
    ),
    Mutant(
        name="pld-at-a-usual-delta",
        breaks="epsilon by `pld` is the one at the delta that is asked for",
        file="fedgan/privacy/accountants/pld.py",
        before="loss.epsilon(delta) for",
        after="loss.epsilon(max(delta, 1e-5)) for",
        killed_by=(f"{_DELTA}[pld-1.001-1e-09]",),
    ),
)
