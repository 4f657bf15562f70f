"""The server's side of a run as plain functions of requests and releases, without any transport."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from fedgan.federation.algorithms import Algorithm, ServerRound
from fedgan.federation.arrays import networks_of
from fedgan.federation.asked_map import asked_features
from fedgan.federation.compression import Compression
from fedgan.federation.embeddings import Embeddings, WarmStart, learned_of, mixture_of
from fedgan.federation.inspection import Inspector
from fedgan.federation.reports import RoundReport, progress_of, report_of
from fedgan.federation.requests import GENERATED, TARGET, EmbedRequest, Release, TrainRequest
from fedgan.federation.server_steps import ServerStep
from fedgan.losses import GanLoss
from fedgan.models import ExponentialMovingAverage
from fedgan.models.families.mixture import lay_over
from fedgan.privacy.noise import NoiseSource
from fedgan.seeding import derive_seed
from fedgan.training.augmentation_chance import ALWAYS, AugmentationChance
from fedgan.training.early_stopping import EarlyStopping, FittedFeatures
from fedgan.training.gan import Gan
from fedgan.training.ladder import Ladder
from fedgan.training.local import GeneratorProgress, Optimisation, generator_steps_due
from fedgan.training.steps import Anchor
from fedgan.training.stored import generate_stock
from fedgan.training.streams import stream
from fedgan.training.warm_start import (
    LEARNED,
    ClassFeatures,
    EmbeddingTarget,
    LearnedStages,
    LocalMoments,
    MixtureFit,
    begin_refinement_by,
    embedding_loss,
    fit_generator,
)


class Server:
    """Holds the global networks and moves them by the clients' releases.

    Args:
        run: identifier of the run.
        gan: the global networks; trained in place.
        algorithm: the federated algorithm.
        step: how a round's releases move the networks.
        optimisation, loss: as at the clients.
        ladder: discriminator steps for each generator step.
        augmentation: the chance of augmentations.
        local_steps: discriminator steps of a client in a round.
        minimum_clients: fewer good releases than this are no round, unless the cohort is secret.
        warm_start: None to begin from the initial weights.
        noise: where the noise on the embeddings' total comes from, if the server adds any.
        anchor_weight: weight of the embedding's distance in generator steps; 0 for none.
        ema_decay: of the generator's average, per generator step.
        seed: of all public streams.
        everybody: records of all clients together, told to clients whose vaults cannot know it; 0 for unknown.
        compression: of arrays on their way, told to clients with every request.
        generated_images: how many go out with each request, where the algorithm sends them in place of the generator.
        inspector: looks at every release.
        early_stopping: watches the averaged generator, if anything does.

    Attributes:
        round: rounds done.
        target: what the warm start fits the generator to, once the clients have sent their embeddings (the first ones).
        mixture: the state of a warm start by local moments; None where there is none.
        learned: the state of a mean embedding in several releases; None where there is none.
        embedding_heads: heads of the clients' ledgers after the last release of the warm start that came in.
        unfitted: the warm start's report from the last `finish_embeddings` until `fit` is done; otherwise None.
    """

    def __init__(
        self,
        *,
        run: str,
        gan: Gan,
        algorithm: Algorithm,
        step: ServerStep,
        optimisation: Optimisation,
        loss: GanLoss,
        ladder: Ladder,
        augmentation: AugmentationChance = ALWAYS,
        local_steps: int,
        minimum_clients: int,
        warm_start: WarmStart | None,
        noise: NoiseSource,
        anchor_weight: float,
        ema_decay: float,
        seed: int,
        everybody: int = 0,
        compression: Compression = "none",
        generated_images: int = 0,
        inspector: Inspector | None = None,
        early_stopping: EarlyStopping | None = None,
    ) -> None:
        self.run = run
        self.gan = gan
        self.step = step
        self.average = ExponentialMovingAverage(gan.generator)
        self.generator_optimizer = optimisation.for_generator(gan)
        self.ladder = ladder
        self.augmentation = augmentation
        self.round = 0
        self.target: EmbeddingTarget | None = None
        self.unfitted: RoundReport | None = None
        self.embedding_heads: dict[str, str] = {}
        self.warm_start = warm_start
        self.mixture = mixture_of(warm_start, gan, seed, compression)
        self.learned = learned_of(warm_start, gan, compression)
        self._embeddings: Embeddings | None = None
        self._algorithm = algorithm
        self._optimisation = optimisation
        self._loss = loss
        self._local_steps = local_steps
        self.minimum_clients = max(minimum_clients, step.least)
        self.inspector = inspector or Inspector()
        self.early_stopping = early_stopping
        self._noise = noise
        self._anchor_weight = anchor_weight
        self._ema_decay = ema_decay
        self._seed = seed
        self._everybody = everybody
        self._compression = compression
        self._generated_images = generated_images

    @property
    def warm_start_pending(self) -> bool:
        """Whether the warm start is still to begin or to be finished."""
        return self.embeddings_pending or (self.round == 0 and self.unfitted is not None)

    @property
    def embeddings_pending(self) -> bool:
        """Whether the clients are still to be asked for a release of the warm start."""
        if self.round > 0 or self.warm_start is None:
            return False
        if self.learned is not None:
            return not self.learned.done
        return self._cells_due is not None or (self.warm_start.fitted and self.target is None)

    @property
    def _cells_due(self) -> MixtureFit | None:
        """The warm start by local moments while releases of it are still to come."""
        return self.mixture if self.mixture is not None and not self.mixture.done else None

    @property
    def _stage(self) -> int:
        """The next release of the warm start, from 0."""
        state = self.mixture or self.learned
        return state.stage if state else 0

    @property
    def _learned_due(self) -> LearnedStages | None:
        """The state of a mean embedding whose next release is of learned features."""
        return self.learned if self.learned and self.learned.stage > 0 and not self.learned.done else None

    # Warm start

    def embed_request(self) -> EmbedRequest:
        """Return the next request of the warm start, the same for every client."""
        if self.warm_start is None:
            raise ValueError("this run has no warm start")
        if (fit := self._cells_due) is not None:
            arrays = {name: tensor.numpy() for name, tensor in fit.arrays().items()}
            return EmbedRequest(self.run, 0, 0, self._everybody, self._compression, fit.stage, fit.order, arrays)
        if (learned := self._learned_due) is not None:
            arrays = {name: tensor.numpy() for name, tensor in learned.arrays().items()}
            return EmbedRequest(
                self.run, 0, 0, self._everybody, self._compression, learned.stage, arrays=arrays, family=LEARNED
            )
        return self._features_request(self.warm_start)

    def _features_request(self, warm_start: WarmStart) -> EmbedRequest:
        """Return the request of the warm start's features that are drawn without data."""
        return EmbedRequest(
            run=self.run,
            features=warm_start.features,
            feature_seed=derive_seed(self._seed, "features"),
            everybody=self._everybody,
            compression=self._compression,
            stage=self.mixture.stage if self.mixture else 0,
            family=warm_start.family,
        )

    def absorb_embeddings(
        self,
        releases: Sequence[Release],
        *,
        refused: dict[str, str],
        records: dict[str, int],
    ) -> RoundReport:
        """Add clients' embeddings to the sum so far.

        It may be called for one group of clients after another, so that the embeddings of all need not be held at once.

        Args:
            releases: in any order; a faulty one is left out and named in the report.
            refused: clients that sent none, and why.
            records: public number of records by client.

        Returns:
            The report of all groups so far.
        """
        warm_start, _ = self._warm_start_parts()
        shape, whole_clients = self.embedding_shape(), warm_start.whole_clients
        good, faulty = self.inspector.embeddings(releases, shape, whole_clients=whole_clients, stage=self._stage)
        records = {**records, **self.inspector.weights.counted()}
        if self._embeddings is None:
            self._embeddings = Embeddings(torch.zeros(shape, dtype=torch.float64), compression=self._compression)
        self._embeddings.add(good, {**refused, **faulty}, records, whole_clients=whole_clients)
        return self._embeddings.report

    def embedding_shape(self) -> tuple[int, int]:
        """Return the cells (classes, where there are none within them) and the numbers of each in an embedding."""
        feature_map = self._warm_start_parts()[1]
        return feature_map.cells(self.num_classes), feature_map.dimension

    def finish_embeddings(self) -> None:
        """Estimate what the generator is fitted to, or the next cells; ValueError where no client sent an embedding."""
        warm_start, feature_map = self._warm_start_parts()
        if self._embeddings is None or not self._embeddings.report.clients:
            raise ValueError("no client sent an embedding")
        if (fit := self._cells_due) is not None:
            fit.absorb(*self._embeddings.noisy(warm_start.stage_noise(fit.stage), self._noise))
        elif not isinstance(feature_map, LocalMoments):
            target = self._embeddings.target(warm_start, self._stage, feature_map.count_weight, self._noise)
            self.target = self.target or target
            if self.learned is not None:
                self.learned.absorb(target)
        self.embedding_heads = self._embeddings.report.heads
        self.unfitted = None if self.embeddings_pending else self._embeddings.report
        self._embeddings = None

    def fit(self, progress: Callable[[int], None] | None = None) -> None:
        """Fit the generator to the target, if there is one; `progress` is called with the number of steps done."""
        if self.embeddings_pending or self.warm_start is None:
            raise ValueError("there is no target to fit to")
        self._fit(self.warm_start, progress)
        if self.warm_start.mixture:
            lay_over(self.gan.generator, shading=self.warm_start.shading, refined=self.warm_start.refined)
        self.average.update(self.gan.generator, 0.0)
        self.unfitted = None
        self._look()

    def learn(self, progress: Callable[[int], None] | None = None) -> bool:
        """Fit the generator to what is in and learn the next release's features on its images, if they are due.

        Returns:
            Whether anything was done.
        """
        if self.warm_start is None or self.learned is None or not self.learned.unlearned:
            return False
        self._fit(self.warm_start, progress)
        self.learned.learn(self.gan.generator, stream(self._seed, "learned features", self.learned.stage))
        return True

    def _fit(self, warm_start: WarmStart, progress: Callable[[int], None] | None) -> None:
        if (target := self.target) is None or (feature_map := self.feature_map()) is None:
            return
        fitted = FittedFeatures(feature_map) if self.early_stopping else None
        rows: Callable[[Tensor], Tensor] = fitted or feature_map
        target = fitted.target(target) if fitted else target
        if self.learned is not None:
            rows, target = self.learned.joined(feature_map)
        before = self.learned.stage - 1 if self.learned else 0
        fit_generator(
            self.gan.generator,
            target,
            rows,
            steps=warm_start.steps,
            batch_size=warm_start.batch_size,
            learning_rate=warm_start.learning_rate,
            rng=stream(self._seed, "warm start", *([before] if before else [])),
            parameters=begin_refinement_by(self.gan.generator, warm_start.family) if warm_start.refined else None,
            progress=progress,
        )

    def _warm_start_parts(self) -> tuple[WarmStart, ClassFeatures | LocalMoments]:
        if self.warm_start is None:
            raise ValueError("this run has no warm start")
        if self.mixture is not None and (self._cells_due or not self.warm_start.refined):
            return self.warm_start, self.mixture.moments()
        if (learned := self._learned_due) is not None:
            return self.warm_start, learned.feature_map()
        request = self._features_request(self.warm_start)
        return self.warm_start, asked_features(request, self._image_shape).to(self.gan.device)

    # Rounds

    def train_request(self) -> TrainRequest:
        """Return the request of the next round, the same for every client of it."""
        arrays = networks_of(self.gan, self._algorithm.sends)
        if self._anchor_weight > 0 and self.target is not None and "generator" in self._algorithm.returns:
            arrays[TARGET] = self.target.means.numpy()
        if self._algorithm.sends_images:
            rng = stream(self._seed, "images", self.round + 1)
            arrays[GENERATED] = generate_stock(self.gan, self._generated_images, rng).cpu().numpy()
        return TrainRequest(
            run=self.run,
            round=self.round + 1,
            steps=self._local_steps,
            first_step=self.round * self._local_steps,
            discriminator_steps=self.ladder.discriminator_steps,
            arrays=arrays,
            everybody=self._everybody,
            compression=self._compression,
            augmentation_chance=self.augmentation.value,
        )

    def absorb_round(self, releases: Sequence[Release], refused: dict[str, str], *, records: int) -> RoundReport:
        """Move the global networks by one round's releases; too few good ones are no round, and move nothing.

        Args:
            releases: in any order; a faulty one is left out and named in the report.
            refused: clients that sent none, and why.
            records: held by all clients that were asked; public.
        """
        number, discriminator_steps = self.round + 1, self.ladder.discriminator_steps
        first_step, steps = self.round * self._local_steps, self._local_steps
        good, faulty = self.inspector.round(
            releases,
            self._algorithm,
            self.gan,
            expected=self.step.expected(self.gan),
            number=number,
            steps=steps,
            generator_steps=generator_steps_due(first_step, steps, discriminator_steps),
        )
        report = report_of(
            number,
            good,
            {**refused, **faulty},
            secret=self.step.secret_cohort,
            minimum=self.minimum_clients,
            discriminator_steps=discriminator_steps,
        )
        if not report.enough:
            return report
        self.gan.perturbation = self.gan.perturbation.at(number, self.augmentation.value)
        self.step.move(self.gan, good, round_number=number, records=records)
        progress = self._algorithm.server_update(self._server_round(good))
        self.ladder = self.ladder.after(progress.accuracy, progress.steps)
        self.augmentation = self.augmentation.after(progress.accuracy, progress.steps)
        self.round = number
        if progress.steps:
            self._look()
        accuracy = progress.accuracy if progress.steps else None
        return replace(report, generator_steps=progress.steps, fake_accuracy=accuracy)

    def _look(self) -> None:
        """Let early stopping look at the averaged generator."""
        if self.early_stopping is not None and self.target is not None and (rows := self.feature_map()) is not None:
            self.early_stopping.look(self.average, self.round, rows, self.target)

    @property
    def num_classes(self) -> int:
        """Number of classes of the conditional networks."""
        return int(self.gan.generator.num_classes)  # type: ignore[arg-type]

    @property
    def _image_shape(self) -> tuple[int, int, int]:
        return self.gan.generator.image_shape  # type: ignore[return-value]

    def feature_map(self) -> ClassFeatures | None:
        """Return the warm start's map of features drawn without data, or None without a warm start."""
        if self.warm_start is None:
            return None
        return asked_features(self._features_request(self.warm_start), self._image_shape).to(self.gan.device)

    def _server_round(self, releases: Sequence[Release]) -> ServerRound:
        moves = "generator" in self._algorithm.returns
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
            clients=progress_of(releases) if moves else GeneratorProgress(),
        )

    def _anchor(self) -> Anchor | None:
        target, weight = self.target, self._anchor_weight
        if weight == 0 or target is None or (feature_map := self.feature_map()) is None:
            return None
        means = target.means.to(self.gan.device)
        return lambda images, labels: weight * embedding_loss(feature_map(images), labels, means)
