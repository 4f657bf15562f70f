"""What a round did, in words and numbers that may be logged."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from fedgan.federation.requests import Refusal, Release
from fedgan.training.local import GeneratorProgress

_LOGGER = logging.getLogger(__name__)

LATE = "no answer in time"


@dataclass(frozen=True)
class RoundReport:
    """What a round did, for metrics and log lines; nothing in it was computed from private records uncharged.

    Attributes:
        round: number of the round, 0 for the warm start.
        clients: names of those whose releases entered.
        refused: why the others' did not, by name.
        generator_steps: generator steps of this round.
        fake_accuracy: the discriminator's accuracy on generated images in this round, or None without generator steps.
        discriminator_steps: discriminator steps for each generator step in this round.
        heads: the ledgers' head hashes that came with the releases, by name.
        bytes_down: of the request to one client, arrays and scalars as they travel.
        bytes_up: of an answer, on average over the clients that gave one; None where nobody did, or nobody may know.
        seconds: from the question to each client's answer, by name, where that says something and is nobody's secret.
        enough: whether enough clients answered; otherwise nothing moved, and the round is still to be done.
    """

    round: int
    clients: list[str]
    refused: dict[str, str] = field(default_factory=dict)
    generator_steps: int = 0
    fake_accuracy: float | None = None
    discriminator_steps: int = 0
    heads: dict[str, str] = field(default_factory=dict)
    bytes_down: int = 0
    bytes_up: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    enough: bool = True

    def answers(self) -> dict[str, Any]:
        """Return how long answers took: all, the middle one, the slowest and whose it was, and how many were late."""
        seconds = {client: round(taken, 3) for client, taken in sorted(self.seconds.items())}
        slowest = max(seconds, key=seconds.__getitem__, default=None)
        return {
            "median": round(median(seconds.values()), 3) if seconds else None,
            "slowest": seconds[slowest] if slowest else None,
            "slowest_client": slowest,
            "late": sum(reason == LATE for reason in self.refused.values()),
            "seconds": seconds,
        }


def heads_of(releases: Sequence[Release]) -> dict[str, str]:
    """Return the ledgers' head hashes that came with `releases`, by client."""
    return {release.client: release.head for release in releases if release.head}


def report_of(
    number: int,
    good: Sequence[Release],
    failed: Mapping[str, str],
    *,
    secret: bool,
    minimum: int,
    discriminator_steps: int,
) -> RoundReport:
    """Return the report of a round before anything has moved.

    Args:
        number: of the round.
        good: sound releases.
        failed: why other clients sent none.
        secret: whether nobody may learn who took part. Then it is enough that not everybody failed, who sits out has
            not failed, and the report names those alone whose coin was not tossed yet: any other failure tells of it.
        minimum: of good releases otherwise.
        discriminator_steps: discriminator steps for each generator step.
    """
    answered = bool(good) or not failed or Refusal.SITS_OUT in failed.values()
    return RoundReport(
        round=number,
        clients=[] if secret else [release.client for release in good],
        refused={client: why for client, why in failed.items() if not secret or why in Refusal.BEFORE_THE_COIN},
        discriminator_steps=discriminator_steps,
        heads={} if secret else heads_of(good),
        enough=answered if secret else len(good) >= minimum,
    )


def progress_of(releases: Sequence[Release]) -> GeneratorProgress:
    """Return the clients' generator steps and accuracy on generated images, on average."""
    steps = round(sum(release.generator_steps for release in releases) / len(releases))
    return GeneratorProgress(steps, sum(release.fake_accuracy for release in releases) / len(releases))


def log_report(report: RoundReport) -> None:
    """Log who is missing from a round, and how long the others took."""
    for client, reason in report.refused.items():
        _LOGGER.warning("round %d goes on without client %s: %s", report.round, client, reason)
    if report.seconds:
        answers = report.answers()
        _LOGGER.info(
            "round %d: answers after %.1f s (median) to %.1f s (client %s); %d late",
            report.round,
            answers["median"],
            answers["slowest"],
            answers["slowest_client"],
            answers["late"],
        )


def too_few(report: RoundReport, needed: int, *, asked: int) -> str:
    """Return in words that a round has fewer good answers than `needed`, how often it was `asked`, and who failed."""
    reasons = "; ".join(f"{client}: {why}" for client, why in report.refused.items())
    times = "once" if asked == 1 else f"{asked} times"
    good = len(report.clients)
    return f"round {report.round}: {good} good answers, at least {needed} are needed (asked {times}; {reasons})"
