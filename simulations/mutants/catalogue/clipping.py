"""Clipping: one sample moves the sum by at most the clip, whatever it holds."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_BOOK_KEEPING = "fedgan/privacy/clipping/engines/book_keeping.py"
_OPACUS = "fedgan/privacy/clipping/engines/opacus.py"
_ENGINE = "fedgan/privacy/clipping/engine.py"
_TESTS = "tests/privacy/test_clipping.py"
_CASES = "tests/privacy/clipping/test_book_keeping_cases.py"
_PRECISION = "tests/privacy/clipping/test_precision.py"
_FULL_PRECISION = "tests/privacy/clipping/test_full_precision.py"
_FACTORS = "weighted_sums(clip_factors(norms, max_norm)), norms"

MUTANTS = (
    Mutant(
        name="clip-after-the-sum",
        breaks="samples are clipped one by one before they are summed",
        file=_BOOK_KEEPING,
        before=_FACTORS,
        after="weighted_sums(torch.ones_like(norms) * clip_factors(torch.stack([value.norm() for value in "
        "gradients.weighted_sums(torch.ones_like(norms)).values()]).norm()[None], max_norm)), norms",
        killed_by=(
            f"{_TESTS}::test_one_sample_changes_the_sum_by_at_most_the_clip[book_keeping]",
            "tests/privacy/test_gradient.py::test_without_noise_it_is_the_clipped_sum_over_the_expected_rows[7]",
        ),
    ),
    Mutant(
        name="clip-per-batch",
        breaks="a sample is clipped by its own norm, not by one that the batch shares",
        file=_BOOK_KEEPING,
        before=_FACTORS,
        after="weighted_sums(clip_factors(norms.mean().expand_as(norms), max_norm)), norms",
        killed_by=(
            f"{_TESTS}::test_one_sample_changes_the_sum_by_at_most_the_clip[book_keeping]",
            "tests/privacy/test_gradient.py::test_without_noise_it_is_the_clipped_sum_over_the_expected_rows[7]",
        ),
    ),
    Mutant(
        name="clip-per-layer",
        breaks="the norm that is clipped is that of a sample's gradient over all layers together",
        file="fedgan/privacy/clipping/gradients.py",
        before="squares = torch.stack(parts).sum(dim=0)",
        after="squares = torch.stack(parts).amax(dim=0)",
        killed_by=(f"{_TESTS}::test_one_sample_changes_the_sum_by_at_most_the_clip[book_keeping]",),
    ),
    Mutant(
        name="padding-counted",
        breaks="rows that are added so that batches have few sizes are in no sum",
        file="fedgan/privacy/clipping/equal_sizes.py",
        before="losses.new_zeros(more)",
        after="losses[-1:].expand(more)",
        killed_by=("tests/privacy/clipping/test_equal_sizes.py::test_added_rows_change_nothing[book_keeping-33]",),
    ),
    Mutant(
        name="rounded-operands",
        breaks="norms and sums are computed in float32 whatever torch is allowed to round",
        file="fedgan/privacy/clipping/full_precision.py",
        before='operation.fp32_precision = "ieee"',
        after="pass",
        killed_by=(f"{_FULL_PRECISION}::test_no_engine_computes_in_less_than_float32[book_keeping]",),
    ),
    Mutant(
        name="operands-rounded-under-another-thread",
        breaks="norms and sums stay in float32 when another thread's end first",
        file="fedgan/privacy/clipping/full_precision.py",
        before="            self._inside += 1\n",
        after="            self._inside = 1\n",
        killed_by=(f"{_FULL_PRECISION}::test_blocks_that_overlap_are_exact_until_the_last_ends",),
    ),
    Mutant(
        name="hidden-by-cancellation",
        breaks="no sample hides a large gradient behind the rounding error of its norm",
        file="fedgan/privacy/clipping/gradients.py",
        before="CANCELLATION = 0.02",
        after="CANCELLATION = 0.0",
        killed_by=(f"{_CASES}::test_gram_matrices_that_cancel_do_not_hide_a_gradient",),
    ),
    Mutant(
        name="shared-parameter-counted-apart",
        breaks="the norm of a parameter that is used twice is that of the sum of both uses",
        file="fedgan/privacy/clipping/gradients.py",
        before="uses[id(weight)] == 1",
        after="uses[id(weight)] >= 1",
        killed_by=(f"{_CASES}::test_parameters_with_several_names_and_uses_count_once",),
    ),
    Mutant(
        name="non-finite-passes",
        breaks="a gradient that is not finite enters as zero",
        file=_ENGINE,
        before="torch.zeros_like(factors))",
        after="torch.ones_like(factors))",
        killed_by=tuple(
            f"{_TESTS}::test_a_sample_without_a_finite_gradient_is_left_out[{poison}-book_keeping]"
            for poison in ("inf", "nan", "1e+30")
        ),
    ),
    Mutant(
        name="opacus-without-clipping",
        breaks="every engine clips",
        file=_OPACUS,
        before="(factors @ gradient)",
        after="(torch.ones_like(factors) @ gradient)",
        killed_by=(f"{_TESTS}::test_one_sample_changes_the_sum_by_at_most_the_clip[opacus]",),
    ),
    Mutant(
        name="opacus-clip-per-layer",
        breaks="in every engine the norm that is clipped is that over all layers together",
        file=_OPACUS,
        before="gradients.values()]).norm(dim=0)",
        after="gradients.values()]).amax(dim=0)",
        killed_by=(f"{_TESTS}::test_one_sample_changes_the_sum_by_at_most_the_clip[opacus]",),
    ),
    Mutant(
        name="fallback-without-clipping",
        breaks="models that no rule covers are clipped too",
        file="fedgan/privacy/clipping/functional.py",
        before="weighted_sum(factors)",
        after="weighted_sum(torch.ones_like(factors))",
        killed_by=(
            f"{_CASES}::test_uses_without_a_rule_are_exact_and_logged_once[OwnParameter-gain-6-0.1]",
            f"{_CASES}::test_uses_without_a_rule_are_exact_and_logged_once[HiddenUse-linear.weight-6-0.1]",
        ),
    ),
    Mutant(
        name="positions-taken-for-samples",
        breaks="the norm of a sample's gradient includes what its positions have in common",
        file="fedgan/privacy/clipping/layers/contribution.py",
        before="(left * right).flatten(1)",
        after="(left * right).diagonal(dim1=1, dim2=2)",
        killed_by=(
            "tests/privacy/clipping/test_book_keeping.py::test_equals_a_loop_over_single_samples[7-40-dtype0-1e-10-cpu]",
        ),
    ),
    Mutant(
        name="opacus-hooks-stay",
        breaks="a private step leaves nothing in the discriminator that a generator step would fill",
        file=_OPACUS,
        before="hooks.cleanup()",
        after="pass",
        killed_by=(
            f"{_TESTS}::test_leaves_no_trace[opacus]",
            f"{_TESTS}::test_leaves_no_trace_after_an_error[opacus]",
        ),
    ),
    Mutant(
        name="batch-norm-allowed",
        breaks="a discriminator that mixes samples is refused, as clipping bounds nobody's influence in it",
        file=_ENGINE,
        before="    refuse_mixing(module)\n",
        after="",
        killed_by=(f"{_TESTS}::test_layers_that_mix_samples_are_refused",),
    ),
    Mutant(
        name="batch-norm-in-the-discriminator",
        breaks="a discriminator's score of one row depends on no other row",
        file="fedgan/models/layers.py",
        before="nn.GroupNorm(gcd(channels, MOST_GROUPS), channels, affine=affine)",
        after="nn.BatchNorm2d(channels, affine=affine)",
        killed_by=(
            "tests/models/test_families.py::test_discriminators_are_made_of_layers_with_known_per_sample_gradients[resnet]",
        ),
    ),
    Mutant(
        name="norms-in-bfloat16",
        breaks="norms keep their precision where forward passes do not, so that the clip is kept to a thousandth",
        file="fedgan/privacy/clipping/gradients.py",
        before="return squares.sqrt()",
        after="return squares.sqrt().bfloat16().to(squares)",
        killed_by=tuple(
            f"{_PRECISION}::{test}[{model}-cpu]"
            for test in ("test_norms_are_those_of_what_is_summed", "test_one_row_changes_the_sum_by_at_most_the_clip")
            for model in ("mlp", "dcgan", "resnet")
        ),
    ),
    Mutant(
        name="norms-in-bfloat16-without-rules",
        breaks="norms keep their precision where forward passes do not, for models that no rule covers too",
        file="fedgan/privacy/clipping/functional.py",
        before=".sum(dim=0).sqrt())",
        after=".sum(dim=0).sqrt().bfloat16().float())",
        killed_by=tuple(
            f"{_PRECISION}::{test}[{model}-cpu]"
            for test in ("test_norms_are_those_of_what_is_summed", "test_one_row_changes_the_sum_by_at_most_the_clip")
            for model in ("without rules", "penalised")
        ),
    ),
    Mutant(
        name="mixing-forward-pass-taken",
        breaks="a model that mixes samples by a function, in no layer of its own, is refused",
        file="fedgan/privacy/clipping/engine.py",
        before="        without_rule(module, inputs, trainable(module), differentiating=differentiating)  # ",
        after="        pass  # ",
        killed_by=(
            "tests/privacy/clipping/test_probe.py::test_a_forward_pass_that_mixes_samples_is_refused[deviation-book_keeping]",
            "tests/privacy/clipping/test_probe.py::test_a_forward_pass_that_mixes_samples_is_refused[normalised-opacus]",
        ),
    ),
    Mutant(
        name="statistics-kept-in-a-buffer",
        breaks="a forward pass keeps nothing of samples where no noise is added",
        file="fedgan/privacy/clipping/probe.py",
        before="                _refuse_memory(module, inputs, rows)\n",
        after="",
        killed_by=(
            "tests/privacy/clipping/test_probe.py"
            "::test_a_forward_pass_that_keeps_something_of_samples_in_a_buffer_is_refused[rows-book_keeping]",
            "tests/privacy/clipping/test_probe.py"
            "::test_a_forward_pass_that_keeps_something_of_samples_in_a_buffer_is_refused[norms-opacus]",
        ),
    ),
    Mutant(
        name="samples-told-by-their-number",
        breaks="a layer that takes something else than samples first is known by more than the size of a batch",
        file="fedgan/privacy/clipping/engines/book_keeping.py",
        before="if name := without_rule(module, inputs, parameters):",
        after='if name := "":',
        killed_by=(
            "tests/privacy/clipping/test_probe.py"
            "::test_samples_along_another_dimension_are_told_apart_even_if_it_is_as_long[7]",
        ),
    ),
)
