"""The auxiliary classifier: the class of a record is part of the record's own loss and of nothing else."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_TESTS = "tests/training/test_auxiliary.py"
_MOVED = f"{_TESTS}::test_one_record_moves_a_step_by_at_most_the_clip_over_the_expected_rows"
_OTHERS = f"{_TESTS}::test_nobody_elses_gradient_moves_when_a_record_leaves"

MUTANTS = (
    Mutant(
        name="classes-unclipped",
        breaks="the auxiliary loss of a record's class is part of its loss and clipped with it",
        file="fedgan/training/objective.py",
        before="    found = gradient(critic, rows, losses)\n",
        after="    if not loss.auxiliary_weight:\n"
        "        found = gradient(critic, rows, losses)\n"
        "    else:\n"
        "        def adversarial(output: Tensor) -> Tensor:\n"
        "            return losses(torch.stack([output[..., 0], torch.zeros_like(output[..., 1])], dim=-1))\n\n"
        "        found, output = gradient(critic, rows, adversarial), critic(*rows)\n"
        "        weights = dict(critic.named_parameters())\n"
        "        how = {'allow_unused': True, 'materialize_grads': True}\n"
        "        classes = (losses(output) - adversarial(output)).mean()\n"
        "        parts = torch.autograd.grad(classes, list(weights.values()), **how)\n"
        "        found = {name: found[name] + part for name, part in zip(weights, parts)}\n",
        killed_by=tuple(f"{_MOVED}[{weight}]" for weight in ("0.7", "1000000.0")),
    ),
    Mutant(
        name="class-losses-divided-by-the-batch",
        breaks="a record's class counts for as much whoever else is in the batch, so that nobody's gradient moves",
        file="fedgan/losses/registry.py",
        before="- weight * pairs[..., 1]",
        after="- weight * pairs[..., 1] / max(1, len(pairs))",
        killed_by=tuple(f"{_OTHERS}[{penalty}]" for penalty in ("none", "r1", "gradient_penalty")),
    ),
    Mutant(
        name="taught-the-neighbours-class",
        breaks="the auxiliary loss of a row depends on no other row's label",
        file="fedgan/training/critic.py",
        before="cross_entropy(scores, labels,",
        after="cross_entropy(scores, labels.roll(1),",
        killed_by=(
            f"{_OTHERS}[none]",
            f"{_TESTS}::test_generated_rows_are_taught_their_public_labels_alone[5]",
        ),
    ),
)
