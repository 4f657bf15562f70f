"""How far the warm start of a run is, whatever its kind: one group of clients after another, release by release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fedgan.federation.compression import Compression
from fedgan.federation.embeddings import Embeddings
from fedgan.federation.inspection import Inspector
from fedgan.federation.reports import RoundReport
from fedgan.federation.requests import EmbedRequest, Release
from fedgan.federation.tensors import parted
from fedgan.federation.warm_start_state.base import Progress, WarmStartState
from fedgan.privacy.noise import NoiseSource
from fedgan.training.warm_start import ClassFeatures, EmbeddingTarget

_PART = "target"


class Beginning:
    """Asks for release after release and hands their sums to the state of the kind at hand.

    Args:
        state: None for no warm start; then nothing is pending, and there is nothing to ask, to learn or to fit.
        noise: where the noise on a total comes from, if the server adds any.
        compression: of arrays on their way.

    Attributes:
        unfitted: the report of all releases from the last `finish` until `fit` is done; otherwise None.
        heads: of the clients' ledgers after the last release that came in.
    """

    def __init__(self, state: WarmStartState | None, noise: NoiseSource, compression: Compression) -> None:
        self.unfitted: RoundReport | None = None
        self.heads: dict[str, str] = {}
        self._state = state
        self._noise = noise
        self._compression = compression
        self._sums: Embeddings | None = None

    @property
    def pending(self) -> bool:
        """Whether the clients are still to be asked for a release."""
        return self._state is not None and not self._state.done

    @property
    def steps(self) -> int:
        """Steps that are done of those with a checkpoint of their own, by which it is named."""
        return self._state.steps if self._state else 0

    @property
    def target(self) -> EmbeddingTarget | None:
        """What the generator is fitted to, once the clients have sent features drawn without data."""
        return self._state.drawn.target if self._state else None

    @target.setter
    def target(self, target: EmbeddingTarget | None) -> None:
        self._begun().drawn.target = target

    def request(self, run: str) -> EmbedRequest:
        """Return the next request, without what all requests of a run have in common."""
        return self._begun().request(run)

    def shape(self) -> tuple[int, int]:
        """Return the cells (classes, where there are none within them) and the numbers of each in an embedding."""
        state = self._begun()
        row_map = state.row_map()
        return row_map.cells(int(state.drawn.gan.generator.num_classes)), row_map.dimension  # type: ignore[arg-type]

    def absorb(
        self, releases: Sequence[Release], inspector: Inspector, *, refused: dict[str, str], records: Mapping[str, int]
    ) -> RoundReport:
        """Add clients' releases to the sum so far.

        It may be called for one group of clients after another, so that the releases of all need not be held at once.

        Args:
            releases: in any order; a faulty one is left out and named in the report.
            inspector: looks at every release.
            refused: clients that sent none, and why.
            records: public number of records by client.

        Returns:
            The report of all groups so far.
        """
        state, shape = self._begun(), self.shape()
        whole_clients = state.drawn.settings.whole_clients
        good, faulty = inspector.embeddings(releases, shape, whole_clients=whole_clients, stage=state.stage)
        records = {**records, **inspector.weights.counted()}
        if self._sums is None:
            self._sums = Embeddings(torch.zeros(shape, dtype=torch.float64), compression=self._compression)
        self._sums.add(good, {**refused, **faulty}, records, whole_clients=whole_clients)
        return self._sums.report

    def finish(self) -> None:
        """Move on by the sum of all that was absorbed; ValueError where no client sent any."""
        state = self._begun()
        if self._sums is None or not self._sums.report.clients:
            raise ValueError("no client sent an embedding")
        state.absorb(self._sums, self._noise)
        self.heads = self._sums.report.heads
        self.unfitted = None if self.pending else self._sums.report
        self._sums = None

    def learn(self, progress: Progress | None) -> bool:
        """Do what is due before the next release can be asked for; return whether there was anything to do."""
        return self._state is not None and self._state.learn(progress)

    def fit(self, progress: Progress | None) -> None:
        """Fit the generator to what is in; ValueError while releases are still to come."""
        if self._state is None or self.pending:
            raise ValueError("there is no target to fit to")
        self._state.fit(progress)
        self.unfitted = None

    def feature_map(self) -> ClassFeatures | None:
        """Return the map of the features drawn without data, or None without a warm start."""
        return self._state.drawn.feature_map() if self._state else None

    def state(self) -> dict[str, Tensor]:
        """Return everything that a checkpoint has to keep, by "part/name", but the deviation of the target's noise."""
        target = parted(_PART, {"means": self.target.means, "counts": self.target.counts}) if self.target else {}
        return {**target, **(self._state.state() if self._state else {})}

    def load_state(self, tensors: Mapping[str, Tensor], noise_std: float | None) -> None:
        """Take up what `state` returned, among other tensors of a checkpoint.

        Args:
            tensors: by "part/name".
            noise_std: of the target; None for no target.

        Raises:
            KeyError, TypeError, ValueError: that does not fit.
        """
        if noise_std is not None:
            means, counts = tensors[f"{_PART}/means"], tensors[f"{_PART}/counts"]
            self.target = EmbeddingTarget(means, counts, float(noise_std))
        if self._state is not None:
            self._state.load_state(tensors)

    def _begun(self) -> WarmStartState:
        if self._state is None:
            raise ValueError("this run has no warm start")
        return self._state
