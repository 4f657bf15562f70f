"""The server's side of a run as plain functions of requests and releases, without any transport."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fedgan.federation.algorithms import Algorithm
from fedgan.federation.compression import Compression
from fedgan.federation.embeddings import WarmStart
from fedgan.federation.inspection import Inspector
from fedgan.federation.reports import RoundReport, report_of
from fedgan.federation.requests import EmbedRequest, Release, TrainRequest
from fedgan.federation.round_terms import RoundTerms
from fedgan.federation.server_steps import ServerStep
from fedgan.federation.warm_start_state import beginning_of
from fedgan.losses import GanLoss
from fedgan.models import ExponentialMovingAverage
from fedgan.privacy.noise import NoiseSource
from fedgan.training.augmentation_chance import ALWAYS, AugmentationChance
from fedgan.training.early_stopping import EarlyStopping
from fedgan.training.gan import Gan
from fedgan.training.ladder import Ladder
from fedgan.training.local import Optimisation
from fedgan.training.warm_start import ClassFeatures, EmbeddingTarget


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
        beginning: how far the warm start is.
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
        self.warm_start = warm_start
        self.beginning = beginning_of(
            warm_start, gan, seed, compression=compression, noise=noise, held_back=early_stopping is not None
        )
        self.minimum_clients = max(minimum_clients, step.least)
        self.inspector = inspector or Inspector()
        self.early_stopping = early_stopping
        self._terms = RoundTerms(
            algorithm=algorithm,
            optimisation=optimisation,
            loss=loss,
            local_steps=local_steps,
            anchor_weight=anchor_weight,
            ema_decay=ema_decay,
            seed=seed,
            everybody=everybody,
            compression=compression,
            generated_images=generated_images,
        )

    # Warm start

    @property
    def warm_start_pending(self) -> bool:
        """Whether the warm start is still to begin or to be finished."""
        return self.embeddings_pending or (self.round == 0 and self.unfitted is not None)

    @property
    def embeddings_pending(self) -> bool:
        """Whether the clients are still to be asked for a release of the warm start."""
        return self.round == 0 and self.warm_start is not None and self.beginning.pending

    @property
    def unfitted(self) -> RoundReport | None:
        """The warm start's report from the last `finish_embeddings` until `fit` is done; otherwise None."""
        return self.beginning.unfitted

    @property
    def target(self) -> EmbeddingTarget | None:
        """What the warm start fits the generator to, once the clients have sent their embeddings (the first ones)."""
        return self.beginning.target

    @target.setter
    def target(self, target: EmbeddingTarget) -> None:
        self.beginning.target = target

    def embed_request(self) -> EmbedRequest:
        """Return the next request of the warm start, the same for every client."""
        request = self.beginning.request(self.run)
        return replace(request, everybody=self._terms.everybody, compression=self._terms.compression)

    def embedding_shape(self) -> tuple[int, int]:
        """Return the cells (classes, where there are none within them) and the numbers of each in an embedding."""
        return self.beginning.shape()

    def absorb_embeddings(
        self, releases: Sequence[Release], *, refused: dict[str, str], records: dict[str, int]
    ) -> RoundReport:
        """Add clients' embeddings to the sum so far and return the report of all groups; see `Beginning.absorb`."""
        return self.beginning.absorb(releases, self.inspector, refused=refused, records=records)

    def finish_embeddings(self) -> None:
        """Move the warm start on by the sum of a release; ValueError where no client sent an embedding."""
        self.beginning.finish()

    def learn(self, progress: Callable[[int], None] | None = None) -> bool:
        """Do what is due before the next release can be asked for; return whether anything was.

        A generator may be fitted on the way; `progress` is called with the number of steps done.
        """
        return self.beginning.learn(progress)

    def fit(self, progress: Callable[[int], None] | None = None) -> None:
        """Fit the generator to what the clients sent; `progress` is called with the number of steps done."""
        self.beginning.fit(progress)
        self.average.update(self.gan.generator, 0.0)
        self._look()

    def feature_map(self) -> ClassFeatures | None:
        """Return the warm start's map of features drawn without data, or None without a warm start."""
        return self.beginning.feature_map() if self.warm_start is not None else None

    # Rounds

    def train_request(self) -> TrainRequest:
        """Return the request of the next round, the same for every client of it."""
        return self._terms.request(
            self.run,
            self.round + 1,
            self.gan,
            self.target,
            discriminator_steps=self.ladder.discriminator_steps,
            augmentation_chance=self.augmentation.value,
        )

    def absorb_round(self, releases: Sequence[Release], refused: dict[str, str], *, records: int) -> RoundReport:
        """Move the global networks by one round's releases; too few good ones are no round, and move nothing.

        Args:
            releases: in any order; a faulty one is left out and named in the report.
            refused: clients that sent none, and why.
            records: held by all clients that were asked; public.
        """
        terms, number, discriminator_steps = self._terms, self.round + 1, self.ladder.discriminator_steps
        good, faulty = self.inspector.round(
            releases,
            terms.algorithm,
            self.gan,
            expected=self.step.expected(self.gan),
            number=number,
            steps=terms.local_steps,
            generator_steps=terms.generator_steps(number, discriminator_steps),
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
        work = terms.server_round(
            number,
            self.gan,
            self.average,
            self.generator_optimizer,
            good,
            terms.anchor(self.target, self.feature_map),
            discriminator_steps=discriminator_steps,
        )
        progress = terms.algorithm.server_update(work)
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
