"""The contract of every server step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor

from fedgan.federation.requests import Release
from fedgan.training.gan import Gan


class ServerStep(Protocol):
    """Moves the global networks by the releases of one round.

    Attributes:
        secret_cohort: whether the guarantee rests on nobody learning who takes part in a round. Then a round moves
            whoever answers, and no report names those who did.
        least: fewest releases by which it moves anything; a round with fewer leaves the networks as they are.
    """

    secret_cohort: bool
    least: int

    def expected(self, gan: Gan) -> dict[str, tuple[int, ...]]:
        """Return name and shape of every array that a release must hold."""
        ...

    def move(self, gan: Gan, releases: Sequence[Release], *, round_number: int, records: int) -> None:
        """Change the networks of `gan` in place.

        Args:
            releases: checked, sorted by client; none only where the cohort is secret.
            round_number: of this round, from 1.
            records: held by the clients that were asked in this round; public.
        """
        ...

    def state(self) -> dict[str, Tensor]:
        """Return what has to be saved to go on after a restart."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned; KeyError or ValueError where that does not fit."""
        ...
