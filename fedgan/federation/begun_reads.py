"""Private reads that were cut off: what clients answered, and were charged for, is not asked for and paid for again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from torch import nn

from fedgan.config import Config
from fedgan.data.dataset import ImageDataset
from fedgan.data.digest import dataset_digest
from fedgan.errors import IntegrityError
from fedgan.evaluation.counts import Counts
from fedgan.federation.evaluation_file import paid_reads
from fedgan.privacy.events import Event
from fedgan.privacy.ledger_line import LedgerLine
from fedgan.runs import RunFolder


def questions_digest(config: Config, test: ImageDataset, discriminator: nn.Module | None) -> str:
    """Return SHA-256 over what, with the generator, fixes what is asked: test set, draws and discriminator."""
    digest = sha256(f"seed={config.seed};count={config.evaluation.count};".encode())
    digest.update(dataset_digest(test))
    for name, tensor in ({} if discriminator is None else discriminator.state_dict()).items():
        digest.update(f"{name} {tuple(tensor.shape)};".encode())
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def begun_reads(folder: RunFolder, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the last reads that were cut off and asked just this, or None; raises IntegrityError if damaged."""
    for reads in reversed(paid_reads(folder)):
        if reads.get("missing") and all(reads.get(key) == value for key, value in asked.items()):
            return dict(reads)
    return None


def answers_of(
    folder: RunFolder, begun: Mapping[str, Any], event: Event, ledger_of: Callable[[str], list[LedgerLine]]
) -> dict[str, Counts]:
    """Return the answers in `begun` by client, as far as their charges of `event` are in the clients' ledgers.

    What a ledger does not hold, as one that was put back from a copy, has to be charged again before it is told.

    Raises:
        IntegrityError: the answers are damaged.
    """
    try:
        answers = [Counts.from_dict(client) for client in begun["clients"]]
        if any(list(one.counts) != list(begun["expected"]) for one in answers):
            raise ValueError("counts of other questions")
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise IntegrityError(f"{folder.evaluation}: damaged: {error}; delete it to evaluate afresh") from None
    return {
        one.client: one
        for one in answers
        if any(line.hash == one.charge and line.event == event for line in ledger_of(one.client))
    }
