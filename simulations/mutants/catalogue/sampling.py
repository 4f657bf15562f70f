"""Which records enter a batch: the choice that the accountant was told of, and a secret one."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_SAMPLING = "fedgan/data/sampling.py"
_VAULT = "fedgan/federation/vault.py"
_TESTS = "tests/data/test_sampling.py"
_VAULT_TESTS = "tests/federation/test_vault.py"
_DRAW = "poisson_indices(plan.records, plan.probability, self._noise.uniform)"

MUTANTS = (
    Mutant(
        name="fixed-batches",
        breaks="records enter a batch by their own coins, as the accountant assumes, not as many at a time",
        file=_VAULT,
        before=_DRAW,
        after="np.argsort(self._noise.uniform(plan.records))[: int(plan.expected_batch)]",
        killed_by=(f"{_VAULT_TESTS}::test_batches_are_poisson_at_the_plans_rate",),
    ),
    Mutant(
        name="one-coin-for-all",
        breaks="records enter a batch independently of each other",
        file=_SAMPLING,
        before="uniform(records) < probability",
        after="uniform(records)[:1].repeat(records) < probability",
        killed_by=(
            f"{_TESTS}::test_poisson_batch_sizes_are_binomial",
            f"{_TESTS}::test_poisson_includes_every_record_and_pair_at_the_same_rate",
        ),
    ),
    Mutant(
        name="twice-the-rate",
        breaks="records are drawn at the rate that is charged",
        file=_VAULT,
        before="plan.probability, self._noise.uniform",
        after="2 * plan.probability, self._noise.uniform",
        killed_by=(f"{_VAULT_TESTS}::test_batches_are_poisson_at_the_plans_rate",),
    ),
    Mutant(
        name="seeded-batches-at-level-record",
        breaks="the choice of records is secret: amplification by sampling holds only while it is",
        file=_VAULT,
        before="plan.probability, self._noise.uniform",
        after='plan.probability, np.random.default_rng(derive_seed(self._seed, "b", round_number)).random',
        killed_by=(f"{_VAULT_TESTS}::test_every_private_step_takes_the_charged_noise_for_every_weight",),
    ),
    Mutant(
        name="empty-batch-drawn-again",
        breaks="an empty batch is taken as it comes: drawing until one is not empty is another mechanism",
        file=_VAULT,
        before=_DRAW,
        after=f"next(drawn for drawn in ({_DRAW} for _ in iter(int, 1)) if len(drawn))",
        killed_by=(f"{_VAULT_TESTS}::test_an_empty_batch_is_not_drawn_again",),
    ),
    Mutant(
        name="clients-share-records",
        breaks="clients hold disjoint records, without which the worst client's epsilon is not the run's",
        file="fedgan/data/partitioning.py",
        before="np.sort(part)",
        after="np.union1d(part, parts[0])",
        killed_by=("tests/federation/test_simulation.py::test_sites_hold_disjoint_parts_of_all_records",),
    ),
    Mutant(
        name="test-records-trained-on",
        breaks="the records that scores are computed on, which count as public, are nobody's training records",
        file="fedgan/data/dataset.py",
        before="torch.nonzero(~held_out)",
        after="torch.nonzero(held_out | True)",
        killed_by=("tests/data/test_dataset.py::test_every_fifth_record_is_held_out",),
    ),
    Mutant(
        name="one-batch-for-a-round",
        breaks="each step draws its own sample: a composition inside one sample costs far more than one of samples",
        file="fedgan/training/local.py",
        before="    for step in range(1, steps + 1):\n        images, labels = batches()\n",
        after="    images, labels = batches()\n    for step in range(1, steps + 1):\n",
        killed_by=(
            "tests/training/test_local.py::test_discriminator_steps_leave_the_generator",
            f"{_VAULT_TESTS}::test_every_private_step_takes_the_charged_noise_for_every_weight",
        ),
    ),
    Mutant(
        name="a-step-too-many",
        breaks="a round takes the steps that it was charged for",
        file="fedgan/training/local.py",
        before="range(1, steps + 1)",
        after="range(1, steps + 2)",
        killed_by=(
            "tests/training/test_local.py::test_discriminator_steps_leave_the_generator",
            f"{_VAULT_TESTS}::test_every_private_step_takes_the_charged_noise_for_every_weight",
        ),
    ),
)
