"""Where the server adds the noise: to gradient sums of many clients, or to the updates of whole clients."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_VAULT = "fedgan/federation/vault.py"
_REPORTS = "fedgan/federation/reports.py"
_STRATEGY = "fedgan/federation/strategy.py"
_SETUP = "fedgan/federation/server_setup.py"
_GRADIENTS = "fedgan/federation/server_steps/gradients.py"
_UPDATES = "fedgan/federation/server_steps/updates.py"
_EMBEDDINGS = "fedgan/federation/embeddings.py"
_FEDSGD = "tests/federation/test_fedsgd.py"
_CLIENTS = "tests/federation/test_client_level.py"
_STEPS = "tests/federation/server_steps/test_updates.py"
_RULES = "tests/federation/aggregation/test_in_rounds.py"
_NOISE = f"{_FEDSGD}::test_the_noise_of_the_aggregate_is_as_stated"
_CENTRAL = f"{_FEDSGD}::test_ten_clients_with_clipping_and_no_noise_are_central_dp_sgd"
_COIN = (
    '        if plan.level == "client" and self._noise.uniform(1)[0] >= plan.probability:\n'
    "            raise Refusal(Refusal.SITS_OUT)\n"
)
_CHARGE = (
    "        head = self._charge(event, request.run, request.round, sensitivity=plan.clip, "
    "multiplier=plan.noise_multiplier)\n"
)
_NOBODY = f"{_CLIENTS}::test_a_round_without_anybody_moves_the_discriminator_like_any_other"

MUTANTS = (
    Mutant(
        name="aggregator-without-noise",
        breaks="a server that is trusted to add the noise adds it",
        file=_GRADIENTS,
        before="add_noise_to_all(self._total(releases), self._noise_std, self._noise)",
        after="self._total(releases)",
        killed_by=(f"{_NOISE}[aggregator]",),
    ),
    Mutant(
        name="aggregators-noise-shared-out",
        breaks="the sum over clients gets the noise of one mechanism, not its tenth",
        file=_SETUP,
        before="noise_std=plan.noise_multiplier * plan.clip * _of_rounded_sums(plan) if plan",
        after="noise_std=plan.noise_multiplier * plan.clip / config.partition.clients if plan",
        killed_by=(f"{_NOISE}[aggregator]",),
    ),
    Mutant(
        name="sums-without-noise-under-local-trust",
        breaks="with local trust no sum leaves a vault without noise",
        file=_VAULT,
        before='noise_multiplier=plan.noise_multiplier if plan.trust == "local" else 0.0',
        after="noise_multiplier=0.0",
        killed_by=(f"{_NOISE}[local]",),
    ),
    Mutant(
        name="several-steps-without-noise",
        breaks="networks of several local steps never leave a vault without noise",
        file=_VAULT,
        before='if plan.level == "record" and plan.trust != "local" and',
        after="if False and",
        killed_by=(f"{_FEDSGD}::test_only_an_aggregator_sees_a_sum_without_noise",),
    ),
    Mutant(
        name="one-charge-for-two-noises",
        breaks="an exact sum is not given twice, to get other noise each time, for one charge",
        file=_VAULT,
        before='return self._private and self._plan.trust == "local"',
        after="return self._private",
        killed_by=(f"{_FEDSGD}::test_where_the_server_adds_the_noise_a_repeated_round_is_charged_again",),
    ),
    Mutant(
        name="rounding-of-sums-forgotten",
        breaks="the server's noise covers what float32 makes of a sum on its way",
        file=_SETUP,
        before="return 1.0 + plan.records * 2.0**-23",
        after="return 1.0",
        killed_by=(f"{_FEDSGD}::test_the_servers_noise_covers_the_rounding_of_sums",),
    ),
    Mutant(
        name="failures-tell-who-took-part",
        breaks="at level client no report names who failed after its coin",
        file=_REPORTS,
        before="if not secret or why in Refusal.BEFORE_THE_COIN",
        after="if why != Refusal.SITS_OUT",
        killed_by=("tests/federation/test_client_level.py::test_a_failure_after_the_coin_is_in_no_report",),
    ),
    Mutant(
        name="trust-forgotten",
        breaks="a ledger says that its charges trust the server",
        file="fedgan/federation/account.py",
        before="trust=trust or self._plan.trust,",
        after='trust="local",',
        killed_by=(f"{_FEDSGD}::test_every_client_is_charged_what_central_dp_sgd_costs",),
    ),
    Mutant(
        name="generated-rows-unclipped-at-the-server",
        breaks="generated rows are clipped as real ones are",
        file=_SETUP,
        before='    if config.privacy.level == "none":\n        return PlainGradient(',
        after="    if True:\n        return PlainGradient(",
        killed_by=(f"{_CENTRAL}[local-none]", f"{_CENTRAL}[aggregator-none]"),
    ),
    Mutant(
        name="a-client-of-any-weight",
        breaks="no client's update weighs more than the clip",
        file=_UPDATES,
        before="factor = min(1.0, self.clip / norm) if norm > 0 else 1.0",
        after="factor = 1.0",
        killed_by=(
            f"{_STEPS}::test_the_sum_of_clipped_updates_over_the_expected_clients",
            f"{_STEPS}::test_one_client_moves_the_networks_by_at_most_the_clip_over_the_expected_clients",
        ),
    ),
    Mutant(
        name="updates-without-noise",
        breaks="the sum of clients' updates carries the noise that each of them was charged for",
        file=_UPDATES,
        before="noisy = add_noise_to_all(sums, self._plan.noise_multiplier * self.clip, self._noise)",
        after="noisy = sums",
        killed_by=(f"{_STEPS}::test_the_noise_is_that_of_the_plan_whoever_takes_part", _NOBODY),
    ),
    Mutant(
        name="divided-by-those-who-came",
        breaks="how many clients took part shows nowhere",
        file=_UPDATES,
        before="noisy[name].numpy() / self._expected_clients",
        after="noisy[name].numpy() / max(1, len(releases))",
        killed_by=(f"{_STEPS}::test_the_sum_of_clipped_updates_over_the_expected_clients",),
    ),
    Mutant(
        name="noise-of-the-first-clip",
        breaks="noise grows with a clip that grows",
        file=_UPDATES,
        before="self._plan.noise_multiplier * self.clip",
        after="self._plan.noise_multiplier * self._plan.clip",
        killed_by=(f"{_STEPS}::test_an_adapted_clip_sets_the_noise_and_survives_a_restart",),
    ),
    Mutant(
        name="exact-count-of-clipped-updates",
        breaks="the clip follows a noisy count",
        file=_UPDATES,
        before="self._plan.count_noise / 2, self._noise",
        after="0.0, self._noise",
        killed_by=(f"{_STEPS}::test_the_clip_follows_the_quantile",),
    ),
    Mutant(
        name="uncharged-count",
        breaks="the count of clipped updates is charged",
        file="fedgan/privacy/plan.py",
        before="        if self.count_noise:\n",
        after="        if False:\n",
        killed_by=("tests/privacy/test_plan.py::test_an_adaptive_clip_is_charged_in_every_round",),
    ),
    Mutant(
        name="coin-that-always-says-yes",
        breaks="clients take part at the rate that was accounted for",
        file=_VAULT,
        before="self._noise.uniform(1)[0] >= plan.probability",
        after="self._noise.uniform(1)[0] >= 1.0",
        killed_by=(
            f"{_CLIENTS}::test_clients_take_part_at_the_accounted_rate",
            f"{_CLIENTS}::test_who_sits_out_reads_no_record",
        ),
    ),
    Mutant(
        name="charged-if-the-coin-says-yes",
        breaks="a client is charged whether it takes part or not: the accounting is of both sides of its coin",
        file=_VAULT,
        before=_CHARGE + _COIN,
        after=_COIN + _CHARGE,
        killed_by=(f"{_CLIENTS}::test_each_round_is_charged_whether_the_coin_says_yes_or_no",),
    ),
    Mutant(
        name="cohort-named",
        breaks="no report names who took part, as the accounting of the coins requires",
        file=_REPORTS,
        before="clients=[] if secret else [release.client for release in good]",
        after="clients=[release.client for release in good]",
        killed_by=(_NOBODY, f"{_CLIENTS}::test_a_run_reports_its_own_epsilon_and_names_nobody"),
    ),
    Mutant(
        name="answer-times-of-a-secret-cohort",
        breaks="no report tells by the time of an answer who took part",
        file=_STRATEGY,
        before="if not self._timed or self._server.step.secret_cohort:",
        after="if not self._timed:",
        killed_by=("tests/federation/test_terms.py::test_who_takes_part_is_not_told_by_times",),
    ),
    Mutant(
        name="empty-cohort-skipped",
        breaks="a round without clients cannot be told from another",
        file=_REPORTS,
        before="enough=answered if secret else len(good) >= minimum",
        after="enough=len(good) >= minimum",
        killed_by=(_NOBODY,),
    ),
    Mutant(
        name="another-rule-under-the-noise-of-a-sum",
        breaks="noise calibrated to a clipped sum is added to a clipped sum and to nothing else",
        file=_GRADIENTS,
        before="if aggregation is not None and noise_std:",
        after="if False:",
        killed_by=(f"{_RULES}::test_the_servers_noise_goes_with_a_sum_alone",),
    ),
    Mutant(
        name="another-rule-with-a-trusted-server",
        breaks="a rule whose sensitivity nobody bounded is refused where the server adds the noise",
        file="fedgan/federation/combinations.py",
        before='if trust == "aggregator" and level != "none" and aggregation != "mean":',
        after="if False:",
        killed_by=("tests/federation/test_combinations.py::test_other_rules_than_sums_need_local_trust",),
    ),
    Mutant(
        name="loud-client-in-the-warm-start",
        breaks="a client's embedding counts as one contribution of norm at most 1",
        file=_EMBEDDINGS,
        before="embedding /= max(1.0, float(embedding.norm()))",
        after="embedding /= 1.0",
        killed_by=(f"{_CLIENTS}::test_no_client_weighs_more_than_one_in_the_warm_start",),
    ),
    Mutant(
        name="warm-start-of-exact-sums",
        breaks="exact embeddings get the server's noise before anything is made of them",
        file=_EMBEDDINGS,
        before="add_noise(self.sums, std, noise)",
        after="self.sums",
        killed_by=(f"{_CLIENTS}::test_the_servers_noise_enters_the_warm_start_once",),
    ),
    Mutant(
        name="client-embeds-a-sum",
        breaks="a client embeds the mean of its records, whose norm is at most 1",
        file=_VAULT,
        before="sums /= len(self._records)",
        after="sums /= 1",
        killed_by=(f"{_CLIENTS}::test_a_client_embeds_the_mean_of_its_records_and_the_server_adds_the_noise",),
    ),
    Mutant(
        name="rounded-before-the-servers-noise",
        breaks="a sum that the server adds noise to moves by no more than one record's clipped share",
        file="fedgan/federation/combinations.py",
        before='if level == "record" and trust != "local" and compression != "none":',
        after='if level == "record" and trust != "local" and compression == "":',
        killed_by=(
            "tests/federation/test_combinations.py::test_sums_that_wait_for_the_servers_noise_are_not_rounded",
            "tests/federation/daemon/test_service.py::test_sums_without_noise_are_not_rounded_whatever_the_server_says",
        ),
    ),
    Mutant(
        name="bytes-tell-who-takes-part",
        breaks="no metric tells how many clients took part, as the accounting of the coins requires",
        file="fedgan/federation/strategy.py",
        before="[] if self._server.step.secret_cohort else answers.bytes",
        after="answers.bytes",
        killed_by=(
            "tests/federation/test_traffic.py::test_where_nobody_may_know_who_takes_part_the_bytes_do_not_tell",
        ),
    ),
)
