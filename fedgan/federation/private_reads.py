"""What `fedgan evaluate` asks the training records of a finished run: noisy counts, charged before they are read."""

from __future__ import annotations

import hmac
import math
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from fedgan.config import Config
from fedgan.data.dataset import ImageDataset
from fedgan.data.digest import dataset_digest
from fedgan.errors import IntegrityError, UsageError, bad_value
from fedgan.evaluation.counts import Counts, Reads
from fedgan.evaluation.memorisation import Probe, make_probe
from fedgan.federation.begun_reads import answers_of, begun_reads, questions_digest
from fedgan.federation.card import read_card
from fedgan.federation.discriminator import load_discriminator
from fedgan.federation.evaluation_file import keep_reads, which_generator
from fedgan.federation.requests import Refusal
from fedgan.federation.run import is_private
from fedgan.federation.simulation import check_signing, ledgers_of
from fedgan.federation.sites import Sites, client_name, ledger_path
from fedgan.privacy.accounting import epsilon as total_epsilon
from fedgan.privacy.commitment import commitment
from fedgan.privacy.events import Event, Gaussian
from fedgan.privacy.ledger import read_ledger
from fedgan.privacy.ledger_line import LedgerLine
from fedgan.privacy.ledger_scan import scan_lines, split_torn
from fedgan.privacy.levels import events_at
from fedgan.privacy.plan_noise import evaluation_noise_for
from fedgan.runs import RunFolder
from fedgan.seeding import derive_seed

OPTION = "--private-reads"


class PrivateReads:
    """Permission to ask the records of a run; making it compares them with their ledgers and charges nothing.

    Args:
        folder, config: the run.
        epsilon: what the counts may cost each client by themselves, at the run's delta; not used at level "none".
        sign_key: file of the key that signs the ledgers, if any.

    Raises:
        UsageError: a client would pass what it promised, whole clients are hidden, the records are not all here, or
            not those of the run, or there is nothing for the key to sign.
        IntegrityError: a ledger is damaged.
    """

    def __init__(self, folder: RunFolder, config: Config, epsilon: float, sign_key: Path | None = None) -> None:
        if not 0 < epsilon < math.inf:
            raise bad_value(OPTION, epsilon, "a positive number, the epsilon that it may cost each client")
        if config.privacy.level == "client":
            raise UsageError(
                f"{OPTION}: this run hides whole clients (privacy.level = 'client'), and noise that hides a client "
                "leaves nothing of counts of its records"
            )
        check_signing(config, sign_key)
        config = config.model_copy(update={"device": "cpu"})  # a run of a GPU can be read without one
        self._folder, self._config, self._epsilon = folder, config, epsilon
        self._sites = sites = Sites(config, ledgers_of(config, folder), sign_key)
        if not self._clients:
            raise UsageError(f"{OPTION}: no client of this run has its ledger here: its records are at its sites")
        self.begun: dict[str, Any] | None = None
        self._answers: dict[str, Counts] = {}
        if is_private(config):
            _check_owner(folder, config, sites)
            sites.check_ledgers()
            self.begun = begun_reads(folder, self._asked)
            if self.begun:
                paid = answers_of(folder, self.begun, Gaussian(self._multiplier), self._lines_of)
                self._answers = {name: replace(one, epsilon=self._spent(int(name))) for name, one in paid.items()}
            for index in self._unasked:
                self._check_room(index)

    @property
    def what_is_charged(self) -> str:
        """What `ask` is going to charge, where there are earlier reads: all clients, or those that these left out."""
        if self.begun is None:
            return "charged anew; what was paid for earlier is not asked for again"
        names = ", ".join(client_name(index) for index in self._unasked)
        return f"goes on where it was cut off: {len(self._answers)} clients have answered and paid, charged are {names}"

    def ask(self, synthetic: ImageDataset) -> Reads:
        """Charge each client and then count what its records answer, one client after the other.

        Under a guarantee each client's answers are in evaluation.json before the next is charged. What `begun` holds,
        the same reads as far as they came before they were cut off, is not charged again.

        Args:
            synthetic: the images by which the run's generator is judged, on the CPU.

        Raises:
            UsageError: a client's budget was spent in the meantime; those before it have been charged.
        """
        test, private = self._sites.data.test, is_private(self._config)
        seed = derive_seed(self._config.seed, "evaluation")
        probe = make_probe(synthetic, test, seed=seed, discriminator=self._discriminator)
        kept = self.begun
        for index in self._unasked:
            self._answers[client_name(index)] = self._counts(index, probe)
            if private:
                reads = self._reads(probe).to_dict()
                keep_reads(self._folder, reads, instead_of=kept)
                kept = reads
        return self._reads(probe)

    def _reads(self, probe: Probe) -> Reads:
        """Return what has been answered by now."""
        return Reads(
            **self._asked,
            test_records=len(self._sites.data.test),
            expected=dict(zip(probe.names, probe.expected, strict=True)),
            clients=tuple(self._answers[name] for name in self._names if name in self._answers),
            missing=tuple(name for name in self._names if name not in self._answers),
        )

    @cached_property
    def _asked(self) -> dict[str, Any]:
        """What is asked and at which price; reads that were cut off go on if theirs was the same."""
        private = is_private(self._config)
        return {
            "generator": which_generator(self._folder),
            "questions": questions_digest(self._config, self._sites.data.test, self._discriminator),
            "epsilon": self._epsilon if private else None,
            "delta": self._config.privacy.delta if private else None,
            "noise_multiplier": self._multiplier,
        }

    @cached_property
    def _discriminator(self) -> nn.Module | None:
        if read_card(self._folder)["rounds"] == 0:
            return None
        train = self._sites.data.train
        return load_discriminator(
            self._folder, self._config, num_classes=train.num_classes, image_shape=train.image_shape
        )[0]

    @cached_property
    def _clients(self) -> list[int]:
        """Those whose records the run has read: under a guarantee their ledgers say so."""
        if is_private(self._config):
            return [index for index in range(len(self._sites)) if self._ledger(index).is_file()]
        return [index for index, part in enumerate(self._sites.parts) if len(part)]

    @property
    def _names(self) -> list[str]:
        return [client_name(index) for index in self._clients]

    @property
    def _unasked(self) -> list[int]:
        return [index for index in self._clients if client_name(index) not in self._answers]

    @cached_property
    def _multiplier(self) -> float:
        privacy = self._config.privacy
        return (
            evaluation_noise_for(self._epsilon, privacy.delta, privacy.accountant) if is_private(self._config) else 0.0
        )

    def _lines_of(self, client: str) -> list[LedgerLine]:
        path = ledger_path(ledgers_of(self._config, self._folder), client)
        return read_ledger(path) if client in self._names else []

    def _ledger(self, index: int) -> Path:
        return ledger_path(ledgers_of(self._config, self._folder), client_name(index))

    def _counts(self, index: int, probe: Probe) -> Counts:
        records = len(self._sites.parts[index])
        try:
            counts, std, head = self._sites.vault(index).evaluate(
                probe, run=read_card(self._folder)["run"], round=self._next_round(index), multiplier=self._multiplier
            )
        except Refusal:
            raise self._no_room(index) from None
        epsilon = self._spent(index) if is_private(self._config) else None
        counted = dict(zip(probe.names, counts.tolist(), strict=True))
        return Counts(client_name(index), records, epsilon, counted, std, head or None)

    def _next_round(self, index: int) -> int:
        """Return a round after all that are in the ledger, so that no charge looks like one that was made twice."""
        if not is_private(self._config):
            return 0
        return 1 + max(int(line.row.get("round", 0)) for line in read_ledger(self._ledger(index)))

    def _spent(self, index: int, *more: Event) -> float:
        privacy, lines = self._config.privacy, read_ledger(self._ledger(index))
        events = [*events_at(privacy.level, lines), *more]
        return total_epsilon(events, delta=privacy.delta, accountant=privacy.accountant)

    def _check_room(self, index: int) -> None:
        if not self._sites.vault(index).affords(Gaussian(self._multiplier)):
            raise self._no_room(index)

    def _no_room(self, index: int) -> UsageError:
        privacy, after = self._config.privacy, self._spent(index, Gaussian(self._multiplier))
        kept = f"; what {len(self._answers)} clients have paid for is in evaluation.json" if self._answers else ""
        return UsageError(
            f"{OPTION} {self._epsilon:g}: client {client_name(index)} has spent epsilon {self._spent(index):.4g}, and "
            f"with this {after:.4g}, more than the {privacy.lifetime_epsilon or privacy.epsilon:g} that it promised: "
            f"train with privacy.evaluation_epsilon = {self._epsilon:g}, which leaves room for it once{kept}"
        )


def _check_owner(folder: RunFolder, config: Config, sites: Sites) -> None:
    """Refuse unless the records here are those that the ledgers were opened for, as only their salts can tell.

    The salts stay with the records: a server that keeps copies of its clients' ledgers has none. A last line torn by a
    crash is left out, and repaired only once all that is before it has said whose the ledgers are.
    """
    for index in range(len(sites)):
        path = ledger_path(ledgers_of(config, folder), client_name(index))
        if not path.is_file():
            continue  # a client that was never asked
        try:
            expected = commitment(dataset_digest(sites.records_of(index)), path.with_suffix(".salt"), begin=False)
        except IntegrityError:
            raise UsageError(
                f"{OPTION}: {path.with_suffix('.salt')} is not here: only who owns a run's records may read them"
            ) from None
        whole, _ = split_torn(path.read_bytes())
        *_, last = scan_lines(whole, path)
        if not hmac.compare_digest(expected, last.dataset):
            raise UsageError(
                f"{OPTION}: the records that {config.data.name!r} loads here are not those of client "
                f"{client_name(index)}, whose ledger commits to others"
            )
