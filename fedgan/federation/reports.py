"""What a round did, in words and numbers that may be logged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fedgan.federation.requests import Release


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
        unchanged: why the round left the networks as they were, or "".
    """

    round: int
    clients: list[str]
    refused: dict[str, str] = field(default_factory=dict)
    generator_steps: int = 0
    fake_accuracy: float | None = None
    discriminator_steps: int = 0
    heads: dict[str, str] = field(default_factory=dict)
    unchanged: str = ""


def heads_of(releases: Sequence[Release]) -> dict[str, str]:
    """Return the ledgers' head hashes that came with `releases`, by client."""
    return {release.client: release.head for release in releases if release.head}
