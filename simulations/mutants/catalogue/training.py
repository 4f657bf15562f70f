"""The GAN's steps: what is private stays in its rows, and what is public stays public."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_STEPS = "fedgan/training/steps.py"
_TESTS = "tests/training/test_steps.py"
_FAKES = "gan.fakes(fakes, rng)"
_LOSSES = "torch.cat([loss.real(logits[:real_rows]), loss.fake(logits[real_rows:])])"

MUTANTS = (
    Mutant(
        name="private-labels-for-fakes",
        breaks="generated rows have labels from a public prior",
        file=_STEPS,
        before=_FAKES,
        after="gan.fakes(fakes, rng)\n        if len(labels):\n"
        "            fake_labels = labels[torch.arange(fakes) % len(labels)]",
        killed_by=(f"{_TESTS}::test_generated_labels_are_uniform_and_do_not_follow_the_private_ones",),
    ),
    Mutant(
        name="as-many-fakes-as-records",
        breaks="the number of generated rows does not follow the size of the batch",
        file=_STEPS,
        before=_FAKES,
        after="gan.fakes(len(images), rng)",
        killed_by=(f"{_TESTS}::test_the_number_of_generated_rows_does_not_follow_the_batch",),
    ),
    Mutant(
        name="clipped-in-pairs",
        breaks="generated rows are clipped apart from the records, which would fill the clip together",
        file=_STEPS,
        before=_LOSSES,
        after="torch.cat([loss.real(logits[:real_rows]) + loss.fake(logits[real_rows:]).mean(), "
        "0 * logits[real_rows:]])",
        killed_by=(
            f"{_TESTS}::test_real_and_generated_rows_stay_rows_of_their_own[1]",
            f"{_TESTS}::test_real_and_generated_rows_stay_rows_of_their_own[5]",
        ),
    ),
    Mutant(
        name="rows-scaled-by-the-batch",
        breaks="how many records are in a batch changes no other record's gradient",
        file=_STEPS,
        before=_LOSSES,
        after="torch.cat([loss.real(logits[:real_rows]) * fakes / max(1, real_rows), loss.fake(logits[real_rows:])])",
        killed_by=(f"{_TESTS}::test_a_rows_loss_does_not_depend_on_the_other_records",),
    ),
    Mutant(
        name="batch-answered-twice",
        breaks="a batch meets the mechanism once: the mean of two noisy answers has less noise than was charged",
        file=_STEPS,
        before="gradients = gradient(gan.discriminator, rows, row_losses)",
        after="answers = [gradient(gan.discriminator, rows, row_losses) for _ in range(2)]\n"
        "    gradients = {name: (answers[0][name] + answers[1][name]) / 2 for name in answers[0]}",
        killed_by=(
            f"{_TESTS}::test_a_batch_meets_the_mechanism_once",
            "tests/federation/test_vault.py::test_every_private_step_takes_the_charged_noise_for_every_weight",
        ),
    ),
    Mutant(
        name="generated-rows-unclipped",
        breaks="generated rows are clipped as records are, so that they do not drown them",
        file=_STEPS,
        before="gradients = gradient(gan.discriminator, rows, row_losses)",
        after="gradients = gradient(gan.discriminator, (images, labels), loss.real)\n"
        "    parameters = dict(gan.discriminator.named_parameters())\n"
        "    total = loss.fake(gan.discriminator(fake_images, fake_labels)).sum()\n"
        "    extra = torch.autograd.grad(total, list(parameters.values()))\n"
        "    gradients = {name: gradients[name] + part for name, part in zip(parameters, extra)}",
        killed_by=(f"{_TESTS}::test_generated_rows_are_clipped_as_records_are",),
    ),
    Mutant(
        name="empty-batch-skipped",
        breaks="a step without records is a step like any other",
        file=_STEPS,
        before="    real_rows = len(images)\n",
        after="    real_rows = len(images)\n    if real_rows == 0:\n        return\n",
        killed_by=(f"{_TESTS}::test_an_empty_private_batch_is_a_step_with_noise",),
    ),
    Mutant(
        name="generator-step-leaves-its-gradient",
        breaks="no gradient of a generator step is left where the next private step could pick it up",
        file="fedgan/training/gan.py",
        before="parameter.requires_grad_(False)",
        after="parameter.requires_grad_(True)",
        killed_by=(f"{_TESTS}::test_the_generators_step_leaves_nothing_in_the_discriminator",),
    ),
    Mutant(
        name="private-step-leaves-its-gradient",
        breaks="no gradient of a private step is left behind it",
        file=_STEPS,
        before="    optimizer.step()\n    optimizer.zero_grad(set_to_none=True)\n",
        after="    optimizer.step()\n",
        killed_by=(f"{_TESTS}::test_the_discriminators_step_leaves_no_gradient",),
    ),
    Mutant(
        name="gradients-pile-up",
        breaks="a step applies its own private gradient and nothing that was there before",
        file=_STEPS,
        before="parameter.grad = gradients.get(name)",
        after="parameter.grad = gradients[name] + (0 if parameter.grad is None else parameter.grad)",
        killed_by=(f"{_TESTS}::test_a_gradient_left_in_the_discriminator_has_no_part_in_its_step",),
    ),
)
