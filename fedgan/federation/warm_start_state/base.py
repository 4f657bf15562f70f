"""The contract of every kind of warm start, as the server sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from torch import Tensor

from fedgan.federation.embeddings import Embeddings
from fedgan.federation.requests import EmbedRequest
from fedgan.federation.warm_start_state.drawn import DrawnFeatures
from fedgan.privacy.noise import NoiseSource
from fedgan.training.warm_start import ClassFeatures, LocalMoments

Progress = Callable[[int], None]
"""Is called with the number of steps done of a fit."""


class WarmStartState(Protocol):
    """Says what the next release is of, and moves on by it.

    Nothing in it reads a record: it is made of public settings and of noisy sums alone, so the noise of the releases is
    all that privacy needs.

    Attributes:
        drawn: the features drawn without data, and the target that a release of them gave, if one is in.
    """

    drawn: DrawnFeatures

    @property
    def stage(self) -> int:
        """Number of the next release, from 0."""
        ...

    @property
    def done(self) -> bool:
        """Whether every release is in."""
        ...

    @property
    def steps(self) -> int:
        """Steps that are done of those with a checkpoint of their own, by which it is named; 0 where none has one."""
        ...

    def request(self, run: str) -> EmbedRequest:
        """Return what is asked of every client next, without what all requests of a run have in common."""
        ...

    def row_map(self) -> ClassFeatures | LocalMoments:
        """Return what the next release has sums of."""
        ...

    def absorb(self, sums: Embeddings, noise: NoiseSource) -> None:
        """Move on by a release: the clients' `sums`, to which the server's noise is added first, if it adds any."""
        ...

    def learn(self, progress: Progress | None) -> bool:
        """Do what has to be done before the next release can be asked for; return whether there was anything to do."""
        ...

    def fit(self, progress: Progress | None) -> None:
        """Fit the generator to what is in, in place."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return everything that a checkpoint has to keep beside the target, by "part/name"."""
        ...

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned, among other tensors of a checkpoint; the target is in `drawn` already.

        Raises:
            KeyError, TypeError, ValueError: that does not fit.
        """
        ...
