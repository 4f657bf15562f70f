"""The ledger: every charge is on the disk before it is used, and stays there."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_LEDGER = "fedgan/privacy/ledger.py"
_FORMAT = "fedgan/privacy/ledger_format.py"
_SCAN = "fedgan/privacy/ledger_scan.py"
_VAULT = "fedgan/federation/vault.py"
_TESTS = "tests/privacy/test_ledger.py"
_VAULT_TESTS = "tests/federation/test_vault.py"

MUTANTS = (
    Mutant(
        name="embedding-charged-afterwards",
        breaks="the ledger is written before the private computation, so that a crash can only over-report",
        file=_VAULT,
        before="        head = self._charge(event, request.run, 0",
        after="        embed(self._records, feature_map)\n        head = self._charge(event, request.run, 0",
        killed_by=(f"{_VAULT_TESTS}::test_embed_is_charged_before_any_record_is_read",),
    ),
    Mutant(
        name="round-charged-afterwards",
        breaks="the ledger is written before the private computation, so that a crash can only over-report",
        file=_VAULT,
        before="        head = self._charge(event, request.run, request.round",
        after="        self._batches(request.round)()\n        head = self._charge(event, request.run, request.round",
        killed_by=(f"{_VAULT_TESTS}::test_train_is_charged_before_any_record_is_read",),
    ),
    Mutant(
        name="line-not-synced",
        breaks="a charge is on the disk before the computation starts, not in a buffer",
        file=_LEDGER,
        before="os.fsync(self._file)",
        after="pass",
        killed_by=(f"{_TESTS}::test_the_line_is_on_the_disk_before_charge_returns",),
    ),
    Mutant(
        name="torn-tail-dropped",
        breaks="what a crash left at the end of a ledger is kept or accounted for, never dropped in silence",
        file=_LEDGER,
        before="    return [*lines, line], whole + repaired",
        after="    return lines, whole",
        killed_by=(
            f"{_TESTS}::test_a_torn_tail_is_reported_and_recovered",
            f"{_TESTS}::test_a_whole_line_without_its_line_feed_still_counts",
        ),
    ),
    Mutant(
        name="torn-tail-recovered-for-anybody",
        breaks="whoever may not write a ledger does not repair its end either",
        file=_LEDGER,
        before="                    lines, repaired = _recovered(path)\n",
        after="                    lines, repaired = _recovered(path)\n"
        "                    write_bytes(path, repaired or path.read_bytes())\n",
        killed_by=(f"{_TESTS}::test_a_torn_tail_is_not_recovered_for_anybody_else",),
    ),
    Mutant(
        name="torn-tail-overlooked",
        breaks="an audit says that the last line of a ledger is torn",
        file=_SCAN,
        before="    if torn:\n",
        after="    if len(torn) > 10**6:\n",
        killed_by=(f"{_TESTS}::test_a_torn_tail_is_reported_and_recovered",),
    ),
    Mutant(
        name="hash-not-checked",
        breaks="an edited line of a ledger is found",
        file=_FORMAT,
        before='if row["hash"] != row_hash(row):',
        after='if row["hash"] == "":',
        killed_by=(f"{_TESTS}::test_every_single_field_edit_is_found",),
    ),
    Mutant(
        name="chain-not-checked",
        breaks="a line that was replaced, hash and all, breaks the line after it",
        file=_FORMAT,
        before='if row["previous"] != (FIRST if before is None else before.hash):',
        after='if row["previous"] == "":',
        killed_by=(f"{_TESTS}::test_an_edit_with_its_hash_recomputed_breaks_the_next_line",),
    ),
    Mutant(
        name="hash-not-checked-by-the-short-cut",
        breaks="an edited line of a ledger is found, however fast it is read",
        file=_SCAN,
        before="if sha256(bare).hexdigest().encode() != digest:",
        after='if digest == b"":',
        killed_by=(
            f"{_TESTS}::test_every_single_field_edit_is_found[2]",
            "tests/privacy/test_ledger_scan.py::test_a_hash_that_the_full_check_finds_wrong_is_never_taken",
        ),
    ),
    Mutant(
        name="chain-not-checked-by-the-short-cut",
        breaks="a line that was replaced, hash and all, breaks the line after it, however fast it is read",
        file=_SCAN,
        before='row["previous"] == before["hash"]',
        after='row["previous"] != ""',
        killed_by=(f"{_TESTS}::test_an_edit_with_its_hash_recomputed_breaks_the_next_line",),
    ),
    Mutant(
        name="unknown-event-costs-nothing",
        breaks="an event that nobody knows is refused, never taken for free",
        file="fedgan/privacy/events.py",
        before='raise IntegrityError(f"event kind {kind!r} is unknown")',
        after="return Composed(())",
        killed_by=(f"{_TESTS}::test_an_unknown_event_kind_is_refused_although_the_chain_holds",),
    ),
    Mutant(
        name="two-writers",
        breaks="a ledger has one writer at a time: two would spend the same budget twice",
        file="fedgan/privacy/ledger_lock.py",
        before="fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        after="pass",
        killed_by=(f"{_TESTS}::test_a_second_writer_is_refused_until_the_first_closes",),
    ),
    Mutant(
        name="ledger-of-other-records",
        breaks="a ledger follows one set of records for good",
        file=_LEDGER,
        before='line.records != owner["records"] or not hmac.compare_digest(line.dataset, owner["dataset"])',
        after="line.records < 0",
        killed_by=(
            f"{_TESTS}::test_other_data_or_another_client_is_refused[change0-other records]",
            f"{_TESTS}::test_other_data_or_another_client_is_refused[change1-other records]",
        ),
    ),
    Mutant(
        name="records-hashed-without-salt",
        breaks="guessed records cannot be tested against a ledger",
        file="fedgan/privacy/commitment.py",
        before="sha256(salt + dataset)",
        after="sha256(dataset)",
        killed_by=(f"{_TESTS}::test_the_salt_is_private_and_hides_the_digest",),
    ),
    Mutant(
        name="salt-for-everyone",
        breaks="only its owner may read the salt that hides the records of a ledger",
        file="fedgan/privacy/commitment.py",
        before="0o600",
        after="0o644",
        killed_by=(f"{_TESTS}::test_the_salt_is_private_and_hides_the_digest",),
    ),
    Mutant(
        name="unsigned-after-signed",
        breaks="a site that has signed its ledger cannot be followed by an unsigned one, as a forger would send",
        file="fedgan/federation/ledger_copies.py",
        before='return "its ledger was signed before, and is not now" if before else None',
        after="return None",
        killed_by=("tests/federation/test_ledger_copies.py::test_who_has_signed_signs_for_good_with_the_same_key",),
    ),
    Mutant(
        name="signed-anew-after-a-change",
        breaks="lines that were changed after they were signed are never signed anew",
        file="fedgan/privacy/ledger_signing.py",
        before="if signed is None or signed.hash != signature.head:",
        after="if signed is None:",
        killed_by=("tests/privacy/test_signature.py::test_a_signed_ledger_goes_on_with_its_key_alone",),
    ),
    Mutant(
        name="signature-not-checked",
        breaks="a signature that does not fit its content is found",
        file="fedgan/privacy/signature.py",
        before="        signature.check()\n",
        after="        pass\n",
        killed_by=(
            "tests/privacy/test_signature.py::test_an_edited_signature_is_found[client-00001]",
            "tests/privacy/test_signature.py::test_an_edited_signature_is_found[sequence-1]",
        ),
    ),
    Mutant(
        name="verified-once-for-all",
        breaks="lines that were verified and changed since are verified again",
        file="fedgan/privacy/ledger_memory.py",
        before="if not whole.startswith(content):",
        after="if len(whole) < len(content):",
        killed_by=("tests/privacy/test_ledger_memory.py::test_a_change_anywhere_in_what_was_verified_is_found",),
    ),
    Mutant(
        name="clock-behind-overlooked",
        breaks="nothing is charged and nothing computed under a clock that is behind the ledger",
        file="fedgan/privacy/ledger_clock.py",
        before="if last - now > TOLERANCE:",
        after="if last - now > timedelta.max:",
        killed_by=(
            "tests/privacy/test_ledger_clock.py::test_a_large_step_back_charges_nothing",
            "tests/federation/test_clock.py::test_a_vault_with_a_ledger_from_the_future_computes_nothing",
        ),
    ),
    Mutant(
        name="times-go-back",
        breaks="the times of a ledger's lines never go back",
        file="fedgan/privacy/ledger_clock.py",
        before="written(max(now, last))",
        after="written(now)",
        killed_by=("tests/privacy/test_ledger_clock.py::test_a_small_step_back_takes_the_time_of_the_line_before",),
    ),
    Mutant(
        name="time-going-back-not-named",
        breaks="an audit names a line whose time is before that of the line above",
        file="fedgan/audit/plausibility.py",
        before="if before is not None and goes_back(line, before):",
        after="if before is None and goes_back(line, line):",
        killed_by=("tests/audit/test_verify.py::test_a_time_that_goes_back_is_a_fault_of_its_line",),
    ),
    Mutant(
        name="lost-lines-overlooked",
        breaks="a run does not go on with a ledger that lost charges since the checkpoint",
        file="fedgan/federation/run.py",
        before="        _check_heads(heads, ledgers, card)\n",
        after="",
        killed_by=(
            "tests/federation/test_simulation.py::test_a_ledger_that_lost_lines_since_the_checkpoint_is_refused",
        ),
    ),
    Mutant(
        name="old-release-under-a-new-number",
        breaks="what a release is made of was charged in its own round of its own run",
        file="fedgan/federation/ledger_copies.py",
        before='if charged and (row["run"], row["round"]) != charged:',
        after="if False:",
        killed_by=("tests/federation/test_ledger_copies.py::test_an_old_release_is_a_fault_whatever_round_it_claims",),
    ),
    Mutant(
        name="old-release-under-a-new-stage",
        breaks="the charge of each release of a warm start is behind that of the one before",
        file="fedgan/federation/ledger_copies.py",
        before="if after and places[head] <= places.get(after, len(lines)):",
        after="if False:",
        killed_by=(
            "tests/federation/test_ledger_copies.py::test_a_release_paid_before_the_last_one_that_was_used_is_old",
        ),
    ),
    Mutant(
        name="release-of-another-stage",
        breaks="a release of the warm start answers the stage that was asked for",
        file="fedgan/federation/checks.py",
        before="if release.stage != stage:",
        after="if False:",
        killed_by=(
            "tests/federation/test_mixture_warm_start.py::test_the_release_of_another_stage_is_refused_by_name[2]",
            "tests/federation/test_mixture_warm_start.py::test_the_release_of_another_stage_is_refused_by_name[4]",
        ),
    ),
)
