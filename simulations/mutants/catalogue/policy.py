"""What is refused: combinations without a proof, and what a site does not allow a server to ask."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_COMBINATIONS = "fedgan/federation/combinations.py"
_POLICY = "fedgan/federation/daemon/policy.py"
_REFUSED = "tests/federation/test_combinations.py::test_refused_with_the_reason"
_SERVICE = "tests/federation/daemon/test_service.py"
_FORBIDDEN = f"{_SERVICE}::test_what_the_policy_forbids_is_refused_recorded_and_not_charged"

MUTANTS = (
    Mutant(
        name="several-steps-for-the-servers-noise",
        breaks="noise of the server is added to sums of clipped gradients, never to what several local steps made",
        file=_COMBINATIONS,
        before='if level == "record" and trust == "aggregator" and not summed:',
        after="if False:",
        killed_by=(f"{_REFUSED}[aggregator-of-networks]", f"{_REFUSED}[aggregator-of-discriminators]"),
    ),
    Mutant(
        name="clients-hidden-from-the-server",
        breaks="no run claims to hide from the server which client answers it",
        file=_COMBINATIONS,
        before='if trust != "aggregator":',
        after="if False:",
        killed_by=(f"{_REFUSED}[clients-trusting-nobody]",),
    ),
    Mutant(
        name="whole-clients-with-generators",
        breaks="at level client everything that a client sends is clipped and noised as one update",
        file=_COMBINATIONS,
        before='("discriminator",) or ALGORITHMS',
        after='("discriminator",) and ALGORITHMS',
        killed_by=(f"{_REFUSED}[clients-with-generators]", f"{_REFUSED}[clients-with-sums]"),
    ),
    Mutant(
        name="rounds-tell-how-many-came",
        breaks="at level client no round is left out because too few took part",
        file=_COMBINATIONS,
        before="if minimum_clients != 1:",
        after="if minimum_clients < 1:",
        killed_by=(f"{_REFUSED}[clients-left-out]",),
    ),
    Mutant(
        name="records-counted-under-noise-for-clients",
        breaks="no evaluation of single records is charged at level client",
        file="fedgan/privacy/plan_checks.py",
        before='if level == "client" and evaluation_epsilon > 0:',
        after="if False:",
        killed_by=("tests/privacy/test_plan.py::test_an_evaluation_of_records_has_no_room_at_level_client",),
    ),
    Mutant(
        name="server-chooses-the-trust",
        breaks="a site that trusts no server sends it no sum without noise",
        file=_POLICY,
        before='    _one_of("privacy.trust", privacy.trust, policy.trusts)\n',
        after="",
        killed_by=(f"{_FORBIDDEN}[trust]",),
    ),
    Mutant(
        name="server-chooses-the-delta",
        breaks="no run has a larger delta than its site allows",
        file=_POLICY,
        before='    _at_most("privacy.delta", privacy.delta, policy.delta)\n',
        after="",
        killed_by=(f"{_FORBIDDEN}[delta]",),
    ),
    Mutant(
        name="least-noise-of-the-warm-start-alone",
        breaks="no step has less noise than its site wants",
        file=_POLICY,
        before=', ("steps", plan.noise_multiplier))',
        after=",)",
        killed_by=(f"{_FORBIDDEN}[noise-steps]",),
    ),
    Mutant(
        name="runs-budget-on-top-of-the-sites",
        breaks="the site's budget holds for all runs, whatever a server's configuration says of its own",
        file="fedgan/federation/daemon/vaults.py",
        before="lifetime_epsilon=policy.epsilon",
        after="lifetime_epsilon=policy.epsilon + config.privacy.epsilon",
        killed_by=(f"{_SERVICE}::test_the_budget_for_life_outlives_runs_and_configurations",),
    ),
)
