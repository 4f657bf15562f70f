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
        before="    if private_reads:\n",
        after="    if private_reads or classes:\n",
        killed_by=(f"{_EVALUATE}::test_no_training_record_is_read_unless_it_is_asked_for",),
    ),
    Mutant(
        name="training-records-read-by-anybody",
        breaks="training records are read where they and their ledgers' salts lie, and nowhere else",
        file="fedgan/federation/private_reads.py",
        before="    _check_owner(folder, config, sites)\n",
        after="",
        killed_by=(
            f"{_EVALUATE}::test_who_has_not_the_owners_salts_is_refused",
            f"{_EVALUATE}::test_other_records_are_refused",
        ),
    ),
)
