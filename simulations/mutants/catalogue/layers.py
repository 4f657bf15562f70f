"""What a layer's rule says of one record's gradient: its norm is that of all of it, and of it alone."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_LAYERS = "fedgan/privacy/clipping/layers"
_CASES = "tests/privacy/clipping/test_book_keeping_cases.py"
_PROBE_TESTS = "tests/privacy/clipping/test_probe.py"

MUTANTS = (
    Mutant(
        name="lookups-taken-apart",
        breaks="gradients of what a record looks up twice add up before the norm is taken",
        file=f"{_LAYERS}/embedding.py",
        before="if self.indices.shape[1] == 1:\n            return",
        after="if True:\n            return",
        killed_by=(f"{_CASES}::test_what_a_sample_looks_up_twice_adds_up_in_its_norm",),
    ),
    Mutant(
        name="norm-of-the-first-group",
        breaks="every group of a convolution is in its norm",
        file=f"{_LAYERS}/correlation.py",
        before="return squares.view(-1, groups).sum(dim=1), scale",
        after="return squares.view(-1, groups)[:, 0], scale",
        killed_by=(f"{_CASES}::test_every_group_of_a_convolution_is_in_its_norm",),
    ),
    Mutant(
        name="embedding-scaled-by-the-batch",
        breaks="no record's gradient is scaled by what others of the batch look up",
        file=f"{_LAYERS}/embedding.py",
        before="if scale_grad_by_freq or max_norm is not None:",
        after="if max_norm is not None:",
        killed_by=(f"{_CASES}::test_embeddings_that_tie_samples_together_are_refused[option1]",),
    ),
    Mutant(
        name="mixing-not-looked-for",
        breaks="a forward pass in which one record's output depends on another is refused",
        file="fedgan/privacy/clipping/probe.py",
        before="if any(bool((slope != 0).any()) for slope in others):",
        after="if False:",
        killed_by=(
            f"{_PROBE_TESTS}::test_a_forward_pass_that_mixes_samples_is_refused",
            f"{_PROBE_TESTS}::test_a_module_that_differentiates_is_tried_too[ranked]",
        ),
    ),
    Mutant(
        name="random-numbers-of-the-batch",
        breaks="what is drawn for one record does not change with the others of its batch",
        file="fedgan/training/record_streams.py",
        before="sha256(image)",
        after="sha256(host)",
        killed_by=("tests/training/test_record_streams.py::test_words_do_not_follow_the_batch",),
    ),
)
