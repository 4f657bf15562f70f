"""The warm start: rows of norm at most 1, noise in every coordinate, and nothing that was not charged."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_VAULT = "fedgan/federation/vault.py"
_FEATURES = "fedgan/training/warm_start/features.py"
_VAULT_TESTS = "tests/federation/test_vault.py"
_EMBEDDING_TESTS = "tests/training/warm_start/test_embedding.py"
_FEATURE_TESTS = "tests/training/warm_start/test_features.py"
_NOISY = "add_noise(sums, std, self._noise)"

MUTANTS = (
    Mutant(
        name="embedding-without-noise",
        breaks="a released embedding carries noise",
        file=_VAULT,
        before=_NOISY,
        after="sums",
        killed_by=(
            f"{_VAULT_TESTS}::test_the_embedding_carries_the_charged_noise",
            f"{_VAULT_TESTS}::test_every_coordinate_of_the_embedding_carries_noise",
        ),
    ),
    Mutant(
        name="embedding-noise-halved",
        breaks="the noise of an embedding has the standard deviation that was charged",
        file=_VAULT,
        before=_NOISY,
        after="add_noise(sums, std / 2, self._noise)",
        killed_by=(f"{_VAULT_TESTS}::test_the_embedding_carries_the_charged_noise",),
    ),
    Mutant(
        name="exact-class-counts",
        breaks="class counts are read from the noisy release, never from the records",
        file=_VAULT,
        before=_NOISY,
        after=f"torch.cat([sums[:, :1], {_NOISY}[:, 1:]], dim=1)",
        killed_by=(f"{_VAULT_TESTS}::test_every_coordinate_of_the_embedding_carries_noise",),
    ),
    Mutant(
        name="long-feature-rows",
        breaks="one record's feature row has norm at most 1, the sensitivity that was charged",
        file=_FEATURES,
        before="rows * ((1.0 - _MARGIN) / norms)",
        after="rows * 1.5",
        killed_by=(
            f"{_FEATURE_TESTS}::test_rows_of_images_have_norm_one_and_never_more",
            f"{_EMBEDDING_TESTS}::test_one_record_moves_the_sums_by_at_most_one",
        ),
    ),
    Mutant(
        name="hostile-pixels-pass",
        breaks="a record whose pixels are no numbers moves the embedding no further than another",
        file=_FEATURES,
        before="torch.nan_to_num(images, nan=0.0, posinf=1.0, neginf=-1.0).clamp(-1.0, 1.0)",
        after="images",
        killed_by=(f"{_EMBEDDING_TESTS}::test_one_record_moves_the_sums_by_at_most_one",),
    ),
    Mutant(
        name="record-in-every-class",
        breaks="a record enters the sum of one class only",
        file="fedgan/training/warm_start/embedding.py",
        before="sums.index_add_(0, labels.cpu(), rows)",
        after="sums += rows.sum(0)",
        killed_by=(f"{_EMBEDDING_TESTS}::test_one_record_moves_the_sums_by_at_most_one",),
    ),
    Mutant(
        name="warm-start-uncharged",
        breaks="the warm start is charged before it reads a record",
        file=_VAULT,
        before="with self._open_ledger() as ledger:\n",
        after="with self._open_ledger() as ledger:\n"
        "            if round_number == 0:\n                return ledger.head\n",
        killed_by=(
            f"{_VAULT_TESTS}::test_embed_is_charged_before_any_record_is_read",
            f"{_VAULT_TESTS}::test_a_second_warm_start_is_over_the_budget",
        ),
    ),
    Mutant(
        name="pixels-scaled-by-the-records",
        breaks="pixels are scaled by the range of their format, not by statistics of the private records",
        file="fedgan/data/dataset.py",
        before="images.to(torch.float32) / 127.5 - 1",
        after="(images.to(torch.float32) / self.images.max() * 2 - 1)",
        killed_by=("tests/data/test_dataset.py::test_batch_does_not_depend_on_the_other_records",),
    ),
)
