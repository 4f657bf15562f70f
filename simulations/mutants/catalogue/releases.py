"""What leaves a vault: outputs of the charged mechanisms, and nothing else."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_VAULT = "fedgan/federation/vault.py"
_TESTS = "tests/federation/test_vault.py"
_ALONE = f"{_TESTS}::test_nothing_but_the_private_gradient_tells_of_the_records"
_EVERYTHING = "*self._records.batch(torch.arange(len(self._records)))"
_WORDS = '"the client app raised an exception"'
_APP_FAILED = (
    '            _LOGGER.exception("client app of node %d failed", node)\n'
    f"            reply = Message(Error(_CLIENT_FAILED, {_WORDS})"
)
_FAILED = '        _LOGGER.exception("the vault failed")\n        content = refusal_records(Refusal.FAILED)'
_TRAINED = "        std, progress = self._own_noise(plan.noise_multiplier * plan.clip), result.progress\n"
_EVALUATE = "tests/cli/test_evaluate_command.py"
_READS = "tests/cli/test_private_reads.py"
_BEGUN = "tests/cli/test_begun_reads.py"
_READS_TESTS = "tests/federation/test_private_reads.py"

MUTANTS = (
    Mutant(
        name="accuracy-on-records",
        breaks="a reply, and the ladder that it drives, tells the accuracy on generated images, never on records",
        file=_VAULT,
        before="progress.steps, progress.accuracy)",
        after=f"progress.steps, float((training.gan.discriminator({_EVERYTHING}) > 0).float().mean()))",
        killed_by=(_ALONE,),
    ),
    Mutant(
        name="loss-on-records",
        breaks="no loss on records leaves a vault",
        file=_VAULT,
        before=_TRAINED,
        after=f"{_TRAINED}        real = training.loss.real(training.gan.discriminator({_EVERYTHING})).mean()\n"
        '        result.arrays["discriminator/loss"] = real.detach().numpy()\n',
        killed_by=(_ALONE,),
    ),
    Mutant(
        name="batch-size-in-the-reply",
        breaks="how many records a batch held is private, and leaves no vault",
        file=_VAULT,
        before=_TRAINED,
        after=f"{_TRAINED}"
        '        result.arrays["discriminator/rows"] = np.float32([len(self._batches(request.round)()[0])])\n',
        killed_by=(_ALONE,),
    ),
    Mutant(
        name="latents-by-the-batch",
        breaks="public streams do not run on by private amounts",
        file="fedgan/training/objective.py",
        before="    count, shown = len(real[0]), gan.perturbation\n",
        after="    count, shown = len(real[0]), gan.perturbation\n    torch.rand(count, generator=rng)\n",
        killed_by=(f"{_ALONE}[fedgan]",),
    ),
    Mutant(
        name="exceptions-in-the-reply",
        breaks="an exception's text, which may quote a record, stays at its site",
        file="fedgan/federation/relay.py",
        before=f"    except Exception:\n{_FAILED}",
        after=f"    except Exception as error:\n{_FAILED.replace('Refusal.FAILED', 'str(error)')}",
        killed_by=("tests/federation/test_vault_app.py::test_no_exceptions_text_leaves",),
    ),
    Mutant(
        name="exceptions-in-flowers-reply",
        breaks="an exception's text does not leave by the transport either",
        file="fedgan/federation/grid.py",
        before=f"        except Exception:\n{_APP_FAILED}",
        after=f"        except Exception as error:\n{_APP_FAILED.replace(_WORDS, 'str(error)')}",
        killed_by=("tests/federation/test_grid.py::test_a_failing_app_is_an_error_without_its_text",),
    ),
    Mutant(
        name="replayed-for-another-request",
        breaks="a release that is paid for answers the very same request only",
        file="fedgan/federation/replay.py",
        before='header["request"] != request_digest(request) or ',
        after="",
        killed_by=("tests/federation/test_replay.py::test_any_other_request_gets_none",),
    ),
    Mutant(
        name="scores-on-training-records",
        breaks="scores are computed on the public test set: on training records they would have to be charged",
        file="fedgan/cli/simulate.py",
        before="assess(folder, sites.data.test,",
        after="assess(folder, sites.data.train,",
        killed_by=("tests/cli/test_evaluate_command.py::test_json_is_one_document_with_the_runs_own_scores",),
    ),
    Mutant(
        name="training-records-read-unasked",
        breaks="no training record is read for an evaluation that did not ask for it",
        file="fedgan/cli/evaluate.py",
        before="None if private_reads is None else PrivateReads(folder, config, private_reads, sign_key)",
        after="PrivateReads(folder, config, private_reads or 1.0, sign_key) if private_reads or classes else None",
        killed_by=(f"{_EVALUATE}::test_no_training_record_is_read_unless_it_is_asked_for",),
    ),
    Mutant(
        name="training-records-read-by-anybody",
        breaks="training records are read where they and their ledgers' salts lie, and nowhere else",
        file="fedgan/federation/private_reads.py",
        before="            _check_owner(folder, config, sites)\n",
        after="",
        killed_by=(
            f"{_READS}::test_who_has_not_the_owners_salts_is_refused",
            f"{_READS}::test_other_records_are_refused",
        ),
    ),
    Mutant(
        name="counts-not-charged",
        breaks="counts of private records are charged to their ledger",
        file=_VAULT,
        before='multiplier=multiplier, trust="local")\n',
        after='multiplier=multiplier, trust="local") if False else None\n',
        killed_by=(
            f"{_READS_TESTS}::test_counts_are_charged_before_any_record_is_read",
            f"{_READS}::test_counts_are_charged_and_the_audit_shows_it",
        ),
    ),
    Mutant(
        name="counts-before-their-charge",
        breaks="counts are charged before a record is read",
        file=_VAULT,
        before="        sensitivity = math.sqrt(len(probe.names))\n",
        after="        sensitivity = math.sqrt(len(probe.names))\n        probe.count(self._records)\n",
        killed_by=(f"{_READS_TESTS}::test_counts_are_charged_before_any_record_is_read",),
    ),
    Mutant(
        name="counts-without-noise",
        breaks="counts of private records leave under the noise that was charged",
        file=_VAULT,
        before="return add_noise(probe.count(self._records), std, self._noise), std",
        after="return add_noise(probe.count(self._records), 0.0, self._noise), std",
        killed_by=(
            f"{_READS_TESTS}::test_what_is_told_is_the_counts_and_the_charged_noise",
            f"{_READS_TESTS}::test_the_noise_is_another_each_time",
        ),
        dies_of=("ValueError",),
    ),
    Mutant(
        name="several-counts-as-one",
        breaks="a record moves several counts at once, and their noise hides it in all of them together",
        file=_VAULT,
        before="sensitivity = math.sqrt(len(probe.names))",
        after="sensitivity = 1.0",
        killed_by=(
            f"{_READS_TESTS}::test_the_charge_names_the_sensitivity_of_all_counts",
            f"{_READS_TESTS}::test_what_is_told_is_the_counts_and_the_charged_noise",
        ),
    ),
    Mutant(
        name="seeded-noise-of-counts",
        breaks="the noise of counts comes from the operating system's entropy",
        file=_VAULT,
        before="return add_noise(probe.count(self._records), std, self._noise), std",
        after="from fedgan.privacy.noise import SeededNoise\n"
        "        return add_noise(probe.count(self._records), std, SeededNoise(self._seed)), std",
        killed_by=(f"{_READS_TESTS}::test_the_noise_is_another_each_time",),
    ),
    Mutant(
        name="answers-by-the-batch",
        breaks="a record's answers depend on no other record, in their last bits either",
        file="fedgan/evaluation/pixels.py",
        before="    nearest[unsure] = exact.amin(dim=1)\n",
        after="",
        killed_by=("tests/evaluation/test_memorisation.py::test_what_a_record_answers_does_not_depend_on_its_batch",),
    ),
    Mutant(
        name="no-look-for-room",
        breaks="a read that one client's budget has no room for charges nobody",
        file="fedgan/federation/private_reads.py",
        before="                self._check_room(index)\n",
        after="                pass\n",
        killed_by=(f"{_READS}::test_one_client_without_room_leaves_all_uncharged",),
    ),
    Mutant(
        name="answers-without-their-charge",
        breaks="an answer that is not asked for again has its charge in its client's ledger",
        file="fedgan/federation/begun_reads.py",
        before="        if any(line.hash == one.charge and line.event == event for line in ledger_of(one.client))\n",
        after="",
        killed_by=(f"{_BEGUN}::test_answers_whose_charge_is_in_no_ledger_are_not_told",),
    ),
    Mutant(
        name="answers-of-another-generator",
        breaks="noisy counts that were paid for belong to the generator that was asked about, and to no later one",
        file="fedgan/federation/evaluation_file.py",
        before='reads["generator"]["sha256"] == here if',
        after='reads["generator"]["sha256"] != "" if',
        killed_by=("tests/cli/test_earlier_reads.py::test_reads_of_another_generator_are_not_shown_as_of_this_one",),
    ),
    Mutant(
        name="paid-for-twice",
        breaks="what a client has answered and paid for is kept before the next is charged, and not charged again",
        file="fedgan/federation/private_reads.py",
        before="                keep_reads(self._folder, reads, instead_of=kept)\n",
        after="",
        killed_by=(
            f"{_BEGUN}::test_what_was_paid_for_before_a_failure_is_kept",
            f"{_BEGUN}::test_it_goes_on_as_often_as_it_is_cut_off",
        ),
    ),
)
