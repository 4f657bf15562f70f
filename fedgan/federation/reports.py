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
        bytes_down: of the request to one client, arrays and scalars as they travel.
        bytes_up: of an answer, on average over the clients that gave one; None where nobody did, or nobody may know.
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


def heads_of(releases: Sequence[Release]) -> dict[str, str]:
    """Return the ledgers' head hashes that came with `releases`, by client."""
    return {release.client: release.head for release in releases if release.head}
