"""The warm start: rows of norm at most 1, noise in every coordinate, and nothing that was not charged."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_VAULT = "fedgan/federation/vault.py"
_FEATURES = "fedgan/training/warm_start/features.py"
_VAULT_TESTS = "tests/federation/test_vault.py"
_EMBEDDING_TESTS = "tests/training/warm_start/test_embedding.py"
_MOMENTS = "fedgan/training/warm_start/moments.py"
_MOMENT_TESTS = "tests/training/warm_start/test_moments.py"
_MIXTURE_TESTS = "tests/federation/test_mixture_warm_start.py"
_CONVOLUTIONS = "fedgan/training/warm_start/convolutions.py"
_CONVOLUTION_TESTS = "tests/training/warm_start/test_convolutions.py"
_FAMILY_TESTS = "tests/training/warm_start/test_families.py"
_FEATURE_TESTS = "tests/training/warm_start/test_features.py"
_STOPPING_TESTS = "tests/federation/test_early_stopping.py"
_LEARNED = "fedgan/training/warm_start/learned.py"
_LEARNED_TESTS = "tests/training/warm_start/test_learned.py"
_LEARNED_RUNS = "tests/federation/test_learned_warm_start.py"
_STATE = "fedgan/federation/warm_start_state"
_STATE_TESTS = "tests/federation/warm_start_state/test_states.py::test_the_server_adds_the_noise_of_each_release"
_NOISY = "add_noise(sums, std, self._noise)"

MUTANTS = (
    Mutant(
        name="private-run-ended-by-its-data",
        breaks="when a private run ends does not depend on its records, so that its epsilon is a guarantee",
        file="fedgan/federation/server_setup.py",
        before='ends = config.privacy.level == "none"',
        after="ends = True",
        killed_by=(f"{_STOPPING_TESTS}::test_a_private_run_goes_on_to_its_last_round_and_looking_costs_nothing",),
    ),
    Mutant(
        name="watched-part-anchored",
        breaks="generator steps are not anchored to what early stopping watches",
        file="fedgan/federation/combinations.py",
        before='    if anchor_weight > 0:\n        raise UsageError(\n            f"{key}',
        after='    if False:\n        raise UsageError(\n            f"{key}',
        killed_by=(f"{_STOPPING_TESTS}::test_there_has_to_be_something_untouched_to_watch[anchored]",),
    ),
    Mutant(
        name="watched-part-fitted",
        breaks="early stopping watches a part of the release that no fit has seen",
        file=f"{_STATE}/drawn.py",
        before="if not self._held_back:",
        after="if True:",
        killed_by=(f"{_STOPPING_TESTS}::test_no_fit_sees_what_is_held_back",),
    ),
    Mutant(
        name="rounding-of-sums-without-noise-told",
        breaks="nothing is computed from sums that carry no noise yet but their noisy total",
        file="fedgan/federation/embeddings.py",
        before="if release.noise_std > 0:",
        after="if True:",
        killed_by=("tests/federation/test_compression.py::test_the_rounding_of_a_sum_without_noise_is_not_told",),
    ),
    Mutant(
        name="families-side-by-side-at-full-length",
        breaks="a record's row of several families of features has norm at most 1",
        file="fedgan/training/warm_start/combined.py",
        before="row[:, 1:] / sqrt(len(rows))",
        after="row[:, 1:]",
        killed_by=(f"{_FAMILY_TESTS}::test_one_record_moves_a_sum_by_at_most_1[shape0-windows,wavelets]",),
    ),
    Mutant(
        name="patch-moments-too-long",
        breaks="a record's row of patch moments has norm at most 1",
        file="fedgan/training/warm_start/patch_moments.py",
        before="sqrt(2 * first.shape[1])",
        after="sqrt(first.shape[1])",
        killed_by=("tests/training/warm_start/test_patch_moments.py::test_an_image_of_ones_reaches_norm_one",),
    ),
    Mutant(
        name="convolution-rows-not-cut-off",
        breaks="a record's row of convolution features has norm at most 1",
        file=_CONVOLUTIONS,
        before=".clamp(min=1.0)",
        after=".clamp(min=1.0, max=1.0)",
        killed_by=(
            f"{_CONVOLUTION_TESTS}::test_rows_that_reach_too_far_are_cut_off_at_norm_one",
            f"{_CONVOLUTION_TESTS}::test_one_record_moves_the_sums_by_at_most_one",
        ),
    ),
    Mutant(
        name="convolution-pixels-not-clamped",
        breaks="a row of convolution features is finite whatever the pixels",
        file=_CONVOLUTIONS,
        before="as_pixels(images)",
        after="images",
        killed_by=(f"{_FAMILY_TESTS}::test_no_input_makes_a_row_longer_than_one[convolutions]",),
    ),
    Mutant(
        name="convolution-release-for-free",
        breaks="the shares of all releases of the warm start add up to what it may spend",
        file="fedgan/training/warm_start/stages.py",
        before="((1 - last) * share for share in moments)",
        after="moments",
        killed_by=(f"{_MIXTURE_TESTS}::test_the_shares_of_all_releases_add_up_to_one",),
    ),
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
        before="as_pixels(images)",
        after="images",
        killed_by=(f"{_EMBEDDING_TESTS}::test_one_record_moves_the_sums_by_at_most_one",),
    ),
    Mutant(
        name="record-in-every-class",
        breaks="a record enters the sum of one class only",
        file="fedgan/training/warm_start/embedding.py",
        before="sums.index_add_(0, cells.cpu(), rows.cpu().double())",
        after="sums += rows.cpu().double().sum(0)",
        killed_by=(f"{_EMBEDDING_TESTS}::test_one_record_moves_the_sums_by_at_most_one",),
    ),
    Mutant(
        name="warm-start-uncharged",
        breaks="the warm start is charged before it reads a record",
        file="fedgan/federation/account.py",
        before="with self.open(dataset) as ledger:\n",
        after="with self.open(dataset) as ledger:\n"
        "            if round_number == 0:\n                return ledger.head\n",
        killed_by=(
            f"{_VAULT_TESTS}::test_embed_is_charged_before_any_record_is_read",
            f"{_VAULT_TESTS}::test_a_second_warm_start_is_over_the_budget",
        ),
    ),
    Mutant(
        name="long-moment-rows",
        breaks="a record far from every centre adds a row of norm at most 1",
        file="fedgan/training/warm_start/rows.py",
        before="offsets / norms.clamp(min=1.0)",
        after="offsets",
        killed_by=(
            f"{_MOMENT_TESTS}::test_a_far_record_has_a_row_of_norm_one",
            f"{_MOMENT_TESTS}::test_one_record_moves_the_sums_by_at_most_one",
        ),
    ),
    Mutant(
        name="learned-rows-not-cut-off",
        breaks="a record's row of learned features has norm at most 1, whatever weights the server sends",
        file=_LEARNED,
        before="cut_off(torch.nan_to_num(offsets, nan=0.0, posinf=0.0, neginf=0.0))",
        after="torch.nan_to_num(offsets, nan=0.0, posinf=0.0, neginf=0.0)",
        killed_by=(
            f"{_LEARNED_TESTS}::test_rows_that_reach_too_far_are_cut_off_at_norm_one",
            f"{_LEARNED_TESTS}::test_no_weights_and_no_record_move_the_sums_by_more_than_one",
        ),
    ),
    Mutant(
        name="hostile-weights-pass",
        breaks="a row of learned features is finite, whatever weights the server sends",
        file=_LEARNED,
        before="torch.nan_to_num(offsets, nan=0.0, posinf=0.0, neginf=0.0)",
        after="offsets",
        killed_by=(f"{_LEARNED_TESTS}::test_no_weights_and_no_record_move_the_sums_by_more_than_one",),
    ),
    Mutant(
        name="learned-rows-in-one-product",
        breaks="a record's row of learned features depends on that record alone, in its last bit too",
        file=_LEARNED,
        before="rows[index] = _rows(image[None], weights)[0]",
        after="rows[index] = _rows(as_pixels(images.cpu().double()), weights)[index]",
        killed_by=(f"{_LEARNED_TESTS}::test_a_row_does_not_depend_on_the_other_records",),
    ),
    Mutant(
        name="learned-release-uncharged",
        breaks="a release of learned features is charged",
        file=_VAULT,
        before="event = plan.warm_start_event(stage) if self._private else None",
        after='event = plan.warm_start_event(stage) if self._private and request.family != "learned" else None',
        killed_by=(
            f"{_LEARNED_RUNS}::test_every_release_is_charged_before_a_record_is_read_and_they_compose_to_one",
            f"{_LEARNED_RUNS}::test_a_run_spends_what_it_planned",
        ),
    ),
    Mutant(
        name="learned-release-for-free",
        breaks="the shares of all mean embeddings add up to what the warm start may spend",
        file="fedgan/training/warm_start/stages.py",
        before="(_FIRST, *(",
        after="(1.0, *(",
        killed_by=tuple(
            f"{_LEARNED_TESTS}::test_the_shares_of_all_releases_add_up_to_one[{count}]" for count in (2, 3, 10)
        ),
    ),
    Mutant(
        name="trusted-server-noise-of-the-first-release",
        breaks="a trusted server adds to each release the noise that was charged for it",
        file=f"{_STATE}/learned.py",
        before="sums.target(self.drawn.settings, self.stage, ",
        after="sums.target(self.drawn.settings, 0, ",
        killed_by=(f"{_LEARNED_RUNS}::test_a_trusted_server_adds_the_noise_of_each_release",),
    ),
    Mutant(
        name="trusted-server-noise-of-the-first-moments",
        breaks="a trusted server adds to each release of moments the noise that was charged for it",
        file=f"{_STATE}/local_moments.py",
        before="settings.stage_noise(self.stage)",
        after="settings.stage_noise(0)",
        killed_by=(f"{_STATE_TESTS}[moments]", f"{_STATE_TESTS}[refined]"),
    ),
    Mutant(
        name="trusted-server-noise-of-the-first-moments-in-the-last-release",
        breaks="a trusted server adds to the features that refine a mixture the noise that was charged for them",
        file=f"{_STATE}/local_moments.py",
        before="sums.target(settings, self.stage, ",
        after="sums.target(settings, 0, ",
        killed_by=(f"{_STATE_TESTS}[refined]",),
    ),
    Mutant(
        name="moments-weigh-too-much",
        breaks="counts, means and products together have norm at most 1",
        file=_MOMENTS,
        before="sqrt(1 - 2 * 0.25**2)",
        after="1.0",
        killed_by=(f"{_MOMENT_TESTS}::test_a_far_record_has_a_row_of_norm_one[2]",),
    ),
    Mutant(
        name="cells-about-the-batch",
        breaks="which cell a record is in depends on that record alone",
        file=_MOMENTS,
        before="coordinates = coordinates / radii[labels, None]",
        after="coordinates = (coordinates - coordinates.mean(0)) / radii[labels, None]",
        killed_by=(f"{_MOMENT_TESTS}::test_a_record_is_placed_without_regard_to_the_others",),
    ),
    Mutant(
        name="hostile-cells-pass",
        breaks="cells of a server's making, whatever their numbers, make no row longer",
        file=_MOMENTS,
        before="torch.nan_to_num(coordinates[:, None] - centres[labels])",
        after="(coordinates[:, None] - centres[labels])",
        killed_by=(f"{_MOMENT_TESTS}::test_no_cells_make_a_row_longer[nan-centres]",),
    ),
    Mutant(
        name="stage-uncharged",
        breaks="every release of the warm start is charged",
        file=_VAULT,
        before="event = plan.warm_start_event(stage) if self._private else None",
        after="event = plan.warm_start_event(stage) if self._private and stage != 1 else None",
        killed_by=(f"{_MIXTURE_TESTS}::test_every_release_is_charged_with_its_own_noise",),
    ),
    Mutant(
        name="every-release-as-if-alone",
        breaks="releases of one warm start share its precision",
        file="fedgan/privacy/plan.py",
        before="self.warm_start_noise / math.sqrt(self.warm_start_shares[stage])",
        after="self.warm_start_noise",
        killed_by=("tests/privacy/test_plan.py::test_a_warm_start_of_several_releases_costs_what_one_costs",),
    ),
    Mutant(
        name="pixels-scaled-by-the-records",
        breaks="pixels are scaled by the range of their format, not by statistics of the private records",
        file="fedgan/data/dataset.py",
        before="images.to(torch.float32) / 127.5 - 1",
        after="(images.to(torch.float32) / self.images.max() * 2 - 1)",
        killed_by=("tests/data/test_dataset.py::test_batch_does_not_depend_on_the_other_records",),
    ),
    Mutant(
        name="private-records-called-public",
        breaks="what is fitted to as public, without noise or a charge, is not the private data",
        file="fedgan/federation/public_start.py",
        before="    if name != private.name:\n",
        after="    if name != private.name or private.root:\n",
        killed_by=(
            "tests/federation/test_public_start.py::test_private_records_are_not_called_public[settings2]",
            "tests/federation/test_public_start.py::test_private_records_are_not_called_public[settings3]",
        ),
    ),
    Mutant(
        name="public-data-unnamed",
        breaks="a card names the public data that its generator was fitted to",
        file="fedgan/federation/card.py",
        before='"public_data": public_data_of(config),',
        after='"public_data": None,',
        killed_by=("tests/federation/test_public_start.py::test_it_costs_nothing_and_the_card_names_it",),
    ),
)
