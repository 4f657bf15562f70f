"""The server's side of a run as plain functions of requests and releases, without any transport."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from fedgan.federation.aggregation import Aggregation
from fedgan.federation.algorithms import Algorithm, ServerRound
from fedgan.federation.arrays import load_network, network_arrays, select
from fedgan.federation.checks import release_fault
from fedgan.federation.embeddings import Embeddings, WarmStart
from fedgan.federation.reports import RoundReport, heads_of
from fedgan.federation.requests import Arrays, EmbedRequest, Release, TrainRequest
from fedgan.losses import GanLoss
from fedgan.models import ExponentialMovingAverage
from fedgan.seeding import derive_seed
from fedgan.training.gan import Gan
from fedgan.training.ladder import Ladder
from fedgan.training.local import GeneratorProgress, Optimisation
from fedgan.training.steps import Anchor
from fedgan.training.streams import stream
from fedgan.training.warm_start import EmbeddingTarget, FeatureMap, embedding_loss, estimate_target, fit_generator


class Server:
    """Holds the global networks and moves them by the clients' releases.

    Args:
        run: identifier of the run.
        gan: the global networks; trained in place.
        algorithm: the federated algorithm.
        aggregation: how arrays of several clients become one.
        optimisation, loss: as at the clients.
        ladder: discriminator steps for each generator step.
        local_steps: discriminator steps of a client in a round.
        minimum_clients: fewer good releases than this leave the networks as they are.
        warm_start: None to begin from the initial weights.
        anchor_weight: weight of the embedding's distance in generator steps; 0 for none.
        ema_decay: of the generator's average, per generator step.
        seed: of all public streams.

    Attributes:
        round: rounds done.
        target: what the warm start fits the generator to, once the clients have sent their embeddings.
        unfitted: the warm start's report from `absorb_embeddings` until `fit` is done; otherwise None.
    """

    def __init__(
        self,
        *,
        run: str,
        gan: Gan,
        algorithm: Algorithm,
        aggregation: Aggregation,
        optimisation: Optimisation,
        loss: GanLoss,
        ladder: Ladder,
        local_steps: int,
        minimum_clients: int,
        warm_start: WarmStart | None,
        anchor_weight: float,
        ema_decay: float,
        seed: int,
    ) -> None:
        self.run = run
        self.gan = gan
        self.average = ExponentialMovingAverage(gan.generator)
        self.generator_optimizer = optimisation.for_generator(gan)
        self.ladder = ladder
        self.round = 0
        self.target: EmbeddingTarget | None = None
        self.unfitted: RoundReport | None = None
        self._embeddings: Embeddings | None = None
        self.warm_start = warm_start
        self._algorithm = algorithm
        self._aggregation = aggregation
        self._optimisation = optimisation
        self._loss = loss
        self._local_steps = local_steps
        self._minimum_clients = minimum_clients
        self._anchor_weight = anchor_weight
        self._ema_decay = ema_decay
        self._seed = seed

    @property
    def warm_start_pending(self) -> bool:
        """Whether the warm start is still to begin or to be finished."""
        return self.round == 0 and self.warm_start is not None and (self.target is None or self.unfitted is not None)

    # Warm start

    def embed_request(self) -> EmbedRequest:
        """Return the one request of the warm start, the same for every client."""
        if self.warm_start is None:
            raise ValueError("this run has no warm start")
        return EmbedRequest(self.run, self.warm_start.features, derive_seed(self._seed, "features"))

    def absorb_embeddings(
        self,
        releases: Sequence[Release],
        *,
        refused: dict[str, str],
        records: dict[str, int],
    ) -> RoundReport:
        """Add clients' noisy embeddings to the sum so far, and estimate the target of the generator's fit from it.

        It may be called for one group of clients after another, so that the embeddings of all need not be held at once.

        Args:
            releases: in any order; a faulty one is left out and named in the report.
            refused: clients that sent none, and why.
            records: public number of records by client.

        Returns:
            The report of all groups so far.
        """
        warm_start, feature_map = self.warm_start, self.feature_map()
        if warm_start is None or feature_map is None:
            raise ValueError("this run has no warm start")
        shape = (self.num_classes, feature_map.dimension)
        expected: dict[str, tuple[int, ...]] = {"embedding": shape}
        good, faulty = self._sift(
            releases, lambda release: release_fault(release, round_number=0, steps=0, expected=expected)
        )
        total = self._embeddings or Embeddings(torch.zeros(shape, dtype=torch.float64), RoundReport(0, []))
        total.add(good, {**refused, **faulty}, records)
        self._embeddings = total
        if total.report.clients:
            self.target = estimate_target(
                total.sums,
                records=total.records,
                noise_std=total.noise_std,
                count_weight=feature_map.count_weight,
                class_counts=warm_start.class_counts,
            )
            self.unfitted = total.report
        return total.report

    def fit(self, progress: Callable[[int], None] | None = None) -> None:
        """Fit the generator to the target; `progress` is called with the number of steps done."""
        warm_start, feature_map = self.warm_start, self.feature_map()
        if warm_start is None or feature_map is None or self.target is None:
            raise ValueError("there is no target to fit to")
        fit_generator(
            self.gan.generator,
            self.target,
            feature_map,
            steps=warm_start.steps,
            batch_size=warm_start.batch_size,
            learning_rate=warm_start.learning_rate,
            rng=stream(self._seed, "warm start"),
            progress=progress,
        )
        self.average.update(self.gan.generator, 0.0)
        self.unfitted = self._embeddings = None

    # Rounds

    def train_request(self) -> TrainRequest:
        """Return the request of the next round, the same for every client of it."""
        arrays: Arrays = {}
        for name in self._algorithm.sends:
            arrays |= network_arrays(name, self.gan.network(name))
        if self._anchor_weight > 0 and self.target is not None and "generator" in self._algorithm.returns:
            arrays["target/means"] = self.target.means.numpy()
        return TrainRequest(
            run=self.run,
            round=self.round + 1,
            steps=self._local_steps,
            first_step=self.round * self._local_steps,
            discriminator_steps=self.ladder.discriminator_steps,
            arrays=arrays,
        )

    def absorb_round(self, releases: Sequence[Release], refused: dict[str, str]) -> RoundReport:
        """Move the global networks by one round's releases; `refused` names clients that sent none, and why."""
        number = self.round + 1
        expected = self._expected_shapes()
        good, faulty = self._sift(
            releases,
            lambda release: release_fault(release, round_number=number, steps=self._local_steps, expected=expected),
        )
        refused = {**refused, **faulty}
        discriminator_steps = self.ladder.discriminator_steps
        progress = GeneratorProgress()
        if len(good) >= self._minimum_clients:
            self._average(good)
            progress = self._algorithm.server_update(self._server_round(good))
            self.ladder = self.ladder.after(progress.accuracy, progress.steps)
        self.round = number
        return RoundReport(
            round=number,
            clients=[release.client for release in good],
            refused=refused,
            generator_steps=progress.steps,
            fake_accuracy=progress.accuracy if progress.steps else None,
            discriminator_steps=discriminator_steps,
            heads=heads_of(good),
        )

    @property
    def num_classes(self) -> int:
        """Number of classes of the conditional networks."""
        return int(self.gan.generator.num_classes)  # type: ignore[arg-type]

    def feature_map(self) -> FeatureMap | None:
        """Return the public feature map of the warm start, or None without one."""
        if self.warm_start is None:
            return None
        shape = self.gan.generator.image_shape
        request = self.embed_request()
        return FeatureMap(shape, features=request.features, seed=request.feature_seed).to(self.gan.device)  # type: ignore[arg-type]

    def _expected_shapes(self) -> dict[str, tuple[int, ...]]:
        return {
            key: array.shape
            for name in self._algorithm.returns
            for key, array in network_arrays(name, self.gan.network(name)).items()
        }

    def _sift(
        self, releases: Sequence[Release], fault_of: Callable[[Release], str | None]
    ) -> tuple[list[Release], dict[str, str]]:
        """Return the good releases sorted by client, so that sums do not depend on arrival, and the others' faults."""
        good: dict[str, Release] = {}
        refused: dict[str, str] = {}
        for release in releases:
            if fault := fault_of(release):
                refused[release.client] = fault
            elif release.client in good:
                refused[release.client] = "answered twice"
            else:
                good[release.client] = release
        for client in refused:
            good.pop(client, None)
        return [good[client] for client in sorted(good)], refused

    def _average(self, releases: Sequence[Release]) -> None:
        merged = {
            name: self._aggregation([release.arrays[name] for release in releases]) for name in releases[0].arrays
        }
        for name in self._algorithm.returns:
            load_network(name, self.gan.network(name), select(merged, [name]))

    def _server_round(self, releases: Sequence[Release]) -> ServerRound:
        steps = round(sum(release.generator_steps for release in releases) / len(releases))
        accuracy = sum(release.fake_accuracy for release in releases) / len(releases)
        return ServerRound(
            gan=self.gan,
            average=self.average,
            ema_decay=self._ema_decay,
            optimizer=self.generator_optimizer,
            steps=self._local_steps,
            first_step=self.round * self._local_steps,
            discriminator_steps=self.ladder.discriminator_steps,
            optimisation=self._optimisation,
            loss=self._loss,
            rng=stream(self._seed, "server", self.round + 1),
            anchor=self._anchor(),
            clients=GeneratorProgress(steps, accuracy),
        )

    def _anchor(self) -> Anchor | None:
        target, weight = self.target, self._anchor_weight
        if weight == 0 or target is None or (feature_map := self.feature_map()) is None:
            return None
        means = target.means.to(self.gan.device)
        return lambda images, labels: weight * embedding_loss(feature_map(images), labels, means)
