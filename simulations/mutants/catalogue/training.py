"""The GAN's steps: what is private stays in its rows, and what is public stays public."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_STEPS = "fedgan/training/steps.py"
_OBJECTIVE = "fedgan/training/objective.py"
_TESTS = "tests/training/test_steps.py"
_PROXIMAL = "tests/training/test_proximal.py"
_OBJECTIVE_TESTS = "tests/training/test_objective.py"
_MOVED = f"{_TESTS}::test_a_record_moves_a_step_by_at_most_the_clip_over_the_expected_rows"
_PERTURBATION = "fedgan/training/perturbation.py"
_SHOWN = "tests/training/test_perturbation.py"
_DROPOUT = "tests/training/test_dropout.py"
_AUXILIARY = "tests/training/test_auxiliary.py"
_SHOWN_MOVED = f"{_SHOWN}::test_one_record_moves_a_step_by_at_most_the_clip_over_the_expected_rows"
_FAKES = "gan.fakes(fakes, rng)"
_LOSSES = "torch.cat([loss.real(logits[:count]), loss.fake(logits[count:])])"
_ANSWER = "found = gradient(critic, rows, losses)"

MUTANTS = (
    Mutant(
        name="tied-once-for-every-record",
        breaks="the tie to what was sent does not depend on the batch, so it adds nothing to a record's influence",
        file=_STEPS,
        before="        tie.pull()\n    optimizer.step()\n    optimizer.zero_grad(set_to_none=True)",
        after="        for _ in images:\n            tie.pull()\n"
        "    optimizer.step()\n    optimizer.zero_grad(set_to_none=True)",
        killed_by=(f"{_PROXIMAL}::test_a_record_moves_a_tied_step_by_at_most_the_clip_over_the_expected_rows",),
    ),
    Mutant(
        name="private-labels-for-fakes",
        breaks="generated rows have labels from a public prior",
        file=_STEPS,
        before=_FAKES,
        after="gan.fakes(fakes, rng)\n        if len(labels):\n"
        "            fake_labels = labels[torch.arange(fakes) % len(labels)]",
        killed_by=(
            f"{_TESTS}::test_generated_labels_are_uniform_and_do_not_follow_the_private_ones",
            f"{_AUXILIARY}::test_generated_rows_are_taught_their_public_labels_alone[5]",
        ),
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
        file=_OBJECTIVE,
        before=_LOSSES,
        after="torch.cat([loss.real(logits[:count]) + loss.fake(logits[count:]).mean(), 0 * logits[count:]])",
        killed_by=(
            f"{_TESTS}::test_real_and_generated_rows_stay_rows_of_their_own[1]",
            f"{_TESTS}::test_real_and_generated_rows_stay_rows_of_their_own[5]",
        ),
    ),
    Mutant(
        name="rows-scaled-by-the-batch",
        breaks="how many records are in a batch changes no other record's gradient",
        file=_OBJECTIVE,
        before=_LOSSES,
        after="torch.cat([loss.real(logits[:count]) * len(fake[0]) / max(1, count), loss.fake(logits[count:])])",
        killed_by=(f"{_TESTS}::test_a_rows_loss_does_not_depend_on_the_other_records",),
    ),
    Mutant(
        name="batch-answered-twice",
        breaks="a batch meets the mechanism once: the mean of two noisy answers has less noise than was charged",
        file=_OBJECTIVE,
        before=_ANSWER,
        after="answers = [gradient(critic, rows, losses) for _ in range(2)]\n"
        "    found = {name: (answers[0][name] + answers[1][name]) / 2 for name in answers[0]}",
        killed_by=(
            f"{_TESTS}::test_a_batch_meets_the_mechanism_once",
            "tests/federation/test_vault.py::test_every_private_step_takes_the_charged_noise_for_every_weight",
        ),
    ),
    Mutant(
        name="generated-rows-unclipped",
        breaks="generated rows are clipped as records are, so that they do not drown them",
        file=_OBJECTIVE,
        before=_ANSWER,
        after="found = gradient(critic, real, loss.real)\n"
        "    parameters = dict(critic.named_parameters())\n"
        "    extra = torch.autograd.grad(loss.fake(critic(*fake)).sum(), list(parameters.values()))\n"
        "    found = {name: found[name] + part for name, part in zip(parameters, extra)}",
        killed_by=(f"{_TESTS}::test_generated_rows_are_clipped_as_records_are",),
    ),
    Mutant(
        name="empty-batch-skipped",
        breaks="a step without records is a step like any other",
        file=_STEPS,
        before="    gan.generator.eval()",
        after="    if len(images) == 0:\n        return\n    gan.generator.eval()",
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
    Mutant(
        name="penalties-unclipped",
        breaks="the penalty of a record is part of its loss and clipped with it",
        file=_OBJECTIVE,
        before=f"    {_ANSWER}\n",
        after="    from dataclasses import replace\n\n    plain = replace(loss, penalty=None)\n"
        "    _, _, adversarial = discriminator_objective(gan, real, fake, loss=plain, rng=rng)\n"
        "    if loss.penalty is None:\n"
        "        found = gradient(critic, rows, losses)\n"
        "    else:\n"
        "        found = gradient(critic, rows, lambda output: adversarial(output[:, 0]))\n"
        "        output = critic(*rows)\n"
        "        penalty = (losses(output) - adversarial(output[:, 0])).sum()\n"
        "        weights = dict(critic.named_parameters())\n"
        "        how = {'allow_unused': True, 'materialize_grads': True}\n"
        "        parts = torch.autograd.grad(penalty, list(weights.values()), **how)\n"
        "        found = {name: found[name] + part for name, part in zip(weights, parts)}\n",
        killed_by=(f"{_MOVED}[r1]", f"{_MOVED}[gradient_penalty]"),
    ),
    Mutant(
        name="partner-by-the-place-in-the-batch",
        breaks="leaving out one record changes no other record's penalty",
        file="fedgan/training/interpolation.py",
        before="_draws(gan, step, *record) for record in zip(images, labels, strict=True)",
        after="_draws(gan, step, torch.tensor(place), label) for place, label in enumerate(labels)",
        killed_by=(
            f"{_MOVED}[gradient_penalty]",
            f"{_OBJECTIVE_TESTS}::test_interpolates_do_not_follow_the_batch",
            f"{_OBJECTIVE_TESTS}::test_one_record_changes_the_sum_by_at_most_the_clip[gradient_penalty]",
        ),
    ),
    Mutant(
        name="penalties-draw-as-often-as-there-are-records",
        breaks="the public stream advances alike whatever the batch, with a penalty too",
        file="fedgan/training/interpolation.py",
        before="    step = int(torch.randint(2**62, (), generator=rng))\n",
        after="    step = int(torch.randint(2**62, (1 + len(images),), generator=rng)[0])\n",
        killed_by=(
            f"{_OBJECTIVE_TESTS}::test_the_public_stream_does_not_follow_the_number_of_records[0]",
            f"{_OBJECTIVE_TESTS}::test_the_public_stream_does_not_follow_the_number_of_records[7]",
            f"{_TESTS}::test_the_public_stream_advances_alike_whatever_the_batch[True-gradient_penalty]",
        ),
    ),
    Mutant(
        name="copies-clipped-one-by-one",
        breaks="all augmented copies of a record are one row, clipped once",
        file=_OBJECTIVE,
        before="    rows = (torch.cat([real[0], fake[0]]), torch.cat([real[1], fake[1]]), *keys)\n",
        after="    if shown.copies > 1:\n"
        "        from dataclasses import replace\n\n"
        "        pairs = ((part[0].flatten(0, 1), part[1].repeat_interleave(shown.copies)) for part in (real, fake))\n"
        "        real, fake = pairs\n"
        "        count, shown = len(real[0]), replace(shown, copies=1)\n"
        "    rows = (torch.cat([real[0], fake[0]]), torch.cat([real[1], fake[1]]), *keys)\n",
        killed_by=(f"{_SHOWN_MOVED}[copies]", f"{_SHOWN_MOVED}[noisy copies]"),
    ),
    Mutant(
        name="augmented-by-the-place-in-the-batch",
        breaks="leaving out one record changes no other record's augmentation or noise",
        file=_PERTURBATION,
        before='record_words("shown", step, images, labels,',
        after='record_words("shown", step, torch.arange(1.0 * len(images)).view(-1, 1, 1, 1), labels,',
        killed_by=tuple(
            f"{test}[{kind}]"
            for test in (_SHOWN_MOVED, f"{_SHOWN}::test_what_is_shown_of_a_record_does_not_follow_the_batch")
            for kind in ("augmented", "noisy", "copies", "noisy copies")
        ),
    ),
    Mutant(
        name="augmentations-draw-as-often-as-there-are-records",
        breaks="the public stream advances alike whatever the batch, with augmentations too",
        file=_PERTURBATION,
        before="step = int(torch.randint(2**62, (), generator=rng))",
        after="step = int(torch.randint(2**62, (1 + len(images),), generator=rng)[0])",
        killed_by=tuple(
            f"{_SHOWN}::test_the_public_stream_does_not_follow_the_number_of_records[{count}-{kind}]"
            for count in (0, 7)
            for kind in ("augmented", "noisy", "copies")
        ),
    ),
    Mutant(
        name="dropout-by-the-place-in-the-batch",
        breaks="leaving out one record changes no other record's dropped units",
        file="fedgan/training/dropout.py",
        before='record_words("dropout", step, images, labels, 2)',
        after='record_words("dropout", step, torch.arange(1.0 * len(images)), torch.zeros_like(labels), 2)',
        killed_by=(
            f"{_DROPOUT}::test_a_records_key_does_not_follow_the_batch_and_the_stream_neither",
            f"{_DROPOUT}::test_one_record_moves_a_step_by_at_most_the_clip_over_the_expected_rows",
        ),
    ),
)
