"""The Gaussian mechanism of a discriminator step: how much noise, on what, divided by what."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_GRADIENT = "fedgan/privacy/gradient.py"
_TESTS = "tests/privacy/test_gradient.py"
_SERVER_TESTS = "tests/federation/test_server_noise.py"
_VAULT_TESTS = "tests/federation/test_vault.py"
_STD = "self.noise_multiplier * self.clip, self.noise)"
_SUMS = "max_norm=self.clip, engine"

MUTANTS = (
    Mutant(
        name="no-noise",
        breaks="every released gradient carries noise",
        file=_GRADIENT,
        before=_STD,
        after="0.0 * self.clip, self.noise)",
        killed_by=(
            f"{_TESTS}::test_adds_the_stated_noise_once_to_every_parameter",
            f"{_VAULT_TESTS}::test_every_private_step_takes_the_charged_noise_for_every_weight",
        ),
    ),
    Mutant(
        name="noise-over-four",
        breaks="the noise of a step is the noise multiplier that was charged times the clip",
        file=_GRADIENT,
        before=_STD,
        after="self.noise_multiplier * self.clip / 4, self.noise)",
        killed_by=(
            f"{_TESTS}::test_adds_the_stated_noise_once_to_every_parameter",
            f"{_VAULT_TESTS}::test_every_private_step_takes_the_charged_noise_for_every_weight",
        ),
    ),
    Mutant(
        name="noise-without-the-clip",
        breaks="the noise multiplier is in units of the clip",
        file=_GRADIENT,
        before=_STD,
        after="self.noise_multiplier, self.noise)",
        killed_by=(f"{_TESTS}::test_adds_the_stated_noise_once_to_every_parameter",),
    ),
    Mutant(
        name="biases-without-noise",
        breaks="every parameter's gradient carries noise",
        file=_GRADIENT,
        before="name: total / ",
        after="name: (total if total.dim() > 1 else sums[name]) / ",
        killed_by=(f"{_TESTS}::test_adds_the_stated_noise_once_to_every_parameter",),
    ),
    Mutant(
        name="realised-denominator",
        breaks="the size of a batch, which is private, does not scale the gradient",
        file=_GRADIENT,
        before="/ self.expected_rows for",
        after="/ max(1, len(inputs[0])) for",
        killed_by=(
            f"{_TESTS}::test_without_noise_it_is_the_clipped_sum_over_the_expected_rows",
            f"{_TESTS}::test_adding_a_record_moves_the_mean_by_at_most_clip_over_rows",
        ),
    ),
    Mutant(
        name="empty-batch-without-noise",
        breaks="a step without records is a step like any other, with noise",
        file=_GRADIENT,
        before="        noisy = add_noise_to_all(",
        after="        if len(inputs[0]) == 0:\n            return sums\n        noisy = add_noise_to_all(",
        killed_by=(f"{_TESTS}::test_adds_the_stated_noise_once_to_every_parameter[0]",),
    ),
    Mutant(
        name="clip-from-the-batch",
        breaks="the clip is a constant: read from this batch's norms, uncharged, it tells of the records",
        file=_GRADIENT,
        before=_SUMS,
        after="max_norm=max(self.clip, float(clipped_gradient_sum(module, inputs, loss, max_norm=1.0)[1].median()))"
        " if len(inputs[0]) else self.clip, engine",
        killed_by=(f"{_TESTS}::test_adding_a_record_moves_the_mean_by_at_most_clip_over_rows",),
    ),
    Mutant(
        name="no-mechanism-at-level-record",
        breaks="at level record a vault trains on private gradients",
        file="fedgan/federation/vault.py",
        before='if plan.level != "record":\n            return PlainGradient(',
        after='if plan.level == "record":\n            return PlainGradient(',
        killed_by=(f"{_VAULT_TESTS}::test_every_private_step_takes_the_charged_noise_for_every_weight",),
    ),
    Mutant(
        name="seeded-noise-at-level-record",
        breaks="at level record the noise comes from no seed: who knows the configuration would know it",
        file="fedgan/federation/vault.py",
        before="noise or SecureNoise()",
        after='noise or __import__("fedgan.privacy.noise", fromlist=["noise"]).SeededNoise(seed)',
        killed_by=(f"{_VAULT_TESTS}::test_only_without_a_level_do_seeds_decide[record-False]",),
    ),
    Mutant(
        name="servers-noise-seeded",
        breaks="the noise that a server adds comes from no seed either",
        file="fedgan/federation/server_setup.py",
        before="_server_plan(config, everybody), SecureNoise()",
        after='_server_plan(config, everybody), __import__("fedgan.privacy.noise", fromlist=["noise"]).SeededNoise('
        "config.seed)",
        killed_by=(
            f"{_SERVER_TESTS}::test_no_seed_decides_the_noise_of_a_round[fedsgd]",
            f"{_SERVER_TESTS}::test_no_seed_decides_the_noise_of_a_round[client]",
            f"{_SERVER_TESTS}::test_no_seed_decides_the_noise_of_the_warm_start[fedsgd]",
        ),
    ),
)
