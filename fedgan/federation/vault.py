"""The vault: all private records of one party behind one object, with the plan and the ledger that guard them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from torch import Tensor

from fedgan.data.dataset import ImageDataset
from fedgan.data.digest import dataset_digest
from fedgan.data.sampling import poisson_indices, uniform_indices
from fedgan.federation.algorithms import Algorithm, ClientRound
from fedgan.federation.arrays import load_network, select
from fedgan.federation.asked_map import asked_map
from fedgan.federation.replay import kept_release, recall, remember
from fedgan.federation.requests import (
    GENERATED,
    TARGET,
    Arrays,
    Description,
    EmbedRequest,
    Refusal,
    Release,
    TrainRequest,
)
from fedgan.losses import GanLoss
from fedgan.privacy.budget import Budget
from fedgan.privacy.events import Event, Gaussian
from fedgan.privacy.gradient import PlainGradient, PrivateGradient
from fedgan.privacy.ledger import Ledger, read_ledger
from fedgan.privacy.levels import events_at
from fedgan.privacy.noise import NoiseSource, SecureNoise, add_noise
from fedgan.privacy.plan import PrivacyPlan, Trust
from fedgan.seeding import derive_seed
from fedgan.training.gan import Gan
from fedgan.training.local import Batches, Optimisation
from fedgan.training.rules import GradientRule
from fedgan.training.steps import Anchor
from fedgan.training.stored import StoredGenerator
from fedgan.training.streams import stream
from fedgan.training.warm_start import ClassFeatures, anchor_to, embed

if TYPE_CHECKING:
    from fedgan.evaluation.memorisation import Probe


@dataclass(frozen=True)
class LocalTraining:
    """How a site trains, none of it private; one object serves every vault of a process.

    Attributes:
        algorithm: the client's side of the federated algorithm.
        gan: networks whose weights each request overwrites.
        local_steps: discriminator steps of a round, at most.
        anchor_features: the public feature map of the warm start, where generator steps are anchored to it.
        generated_images: how many come with a request, where the algorithm sends them in place of the generator.
    """

    algorithm: Algorithm
    gan: Gan
    local_steps: int
    optimisation: Optimisation
    loss: GanLoss
    anchor_weight: float
    anchor_features: ClassFeatures | None
    generated_images: int = 0


class Vault:
    """Answers `describe`, `embed`, `train` and `evaluate`; a private answer is charged before it is computed.

    Guarantee: with local trust, everything that these return is the output of the mechanisms written to the ledger
    before any record was read, or post-processing of it. With trust "aggregator" that holds for everything the
    server makes of it, provided that the server adds the noise that the ledger names: it alone sees more.
    Assumes: the ledger's file is this party's own and `noise` is a `SecureNoise`.

    Args:
        client: name of the party.
        records: its training records.
        plan: sampling rate, clip, noise and steps, read by the sampler, the noise and the accountant alike.
        ledger: file of the ledger; not touched under level "none".
        lifetime_epsilon: the most that the ledger may hold over all runs.
        training: networks, losses and optimisers.
        seed: of the public streams (latents, labels, and under level "none" the batches).
        noise: where privacy noise and the choice of records come from.
        sign_key: signs the ledger, if there is one.
    """

    def __init__(
        self,
        client: str,
        records: ImageDataset,
        *,
        plan: PrivacyPlan,
        ledger: Path,
        lifetime_epsilon: float,
        training: LocalTraining,
        seed: int,
        noise: NoiseSource | None = None,
        sign_key: EllipticCurvePrivateKey | None = None,
    ) -> None:
        if plan.records != len(records):
            raise ValueError(f"the plan of client {client} is for {plan.records} records, not {len(records)}")
        if plan.level == "record" and plan.trust != "local" and training.algorithm.releases != "gradient_sum":
            raise ValueError("without noise of its own a vault releases sums of clipped gradients only")
        self._client = client
        self._records = records
        self._plan = plan
        self._ledger = ledger
        self._training = training
        self._seed = seed
        self._noise = noise or SecureNoise()
        self._sign_key = sign_key
        certified = plan.planned_events() + plan.reserved_events()
        self._budget = Budget(lifetime_epsilon, delta=plan.delta, accountant=plan.accountant, certified=certified)

    def describe(self) -> Description:
        """Return what is public about this party."""
        return Description(self._client, len(self._records), self._records.image_shape, self._records.num_classes)

    def embed(self, request: EmbedRequest) -> Release:
        """Return the sums of features or moments as array "embedding", at level "client" divided by the records.

        With local trust N(0, z^2) is added in every coordinate, and who asks for the same again gets the same. Without,
        it is charged again: the server, whose noise is another then, may have published what it made of the first.
        """
        if kept := self._recall(request):
            return kept
        plan, stage = self._plan, request.stage
        if not 0 <= stage < len(plan.warm_start_shares) or (self._private and plan.warm_start_noise == 0):
            raise Refusal(Refusal.BAD_REQUEST)
        feature_map = asked_map(request, self._records.image_shape, self._records.num_classes)
        feature_map = feature_map.to(self._training.gan.device)
        event = plan.warm_start_event(stage) if self._private else None
        multiplier = plan.warm_start_multiplier(stage)
        head = self._charge(event, request.run, 0, sensitivity=1.0, multiplier=multiplier)
        sums = embed(self._records, feature_map)
        if plan.level == "client":
            sums /= len(self._records)  # rows have norm at most 1, and so has their mean
        std = self._own_noise(multiplier)
        arrays = {"embedding": add_noise(sums, std, self._noise).float().numpy()}
        return self._remember(request, Release(self._client, 0, arrays, head, std, stage=stage))

    def train(self, request: TrainRequest) -> Release:
        """Do the algorithm's work on the networks in `request` and return what it releases.

        At level "client" a coin of this party's own decides whether it takes part; it is charged either way, as the
        accounting of the coin is of both its sides.
        """
        plan, training = self._plan, self._training
        if not 1 <= request.steps <= training.local_steps or request.discriminator_steps < 1 or plan.participations < 1:
            raise Refusal(Refusal.BAD_REQUEST)
        if not 0 <= request.augmentation_chance <= 1:
            raise Refusal(Refusal.BAD_REQUEST)
        if kept := self._recall(request):
            return kept
        for name in training.algorithm.sends:
            self._load(name, request.arrays)
        training.gan.perturbation = training.gan.perturbation.at(request.round, request.augmentation_chance)
        gan, anchor = self._gan(request.arrays), self._anchor(request.arrays)
        mechanisms = 1 if plan.level == "client" else request.steps
        event = plan.round_event(mechanisms) if self._private else None
        head = self._charge(event, request.run, request.round, sensitivity=plan.clip, multiplier=plan.noise_multiplier)
        if plan.level == "client" and self._noise.uniform(1)[0] >= plan.probability:
            raise Refusal(Refusal.SITS_OUT)
        result = training.algorithm.client_update(
            ClientRound(
                gan=gan,
                batches=self._batches(request.round),
                gradient=self._gradient(),
                steps=request.steps,
                first_step=request.first_step,
                discriminator_steps=request.discriminator_steps,
                optimisation=training.optimisation,
                loss=training.loss,
                rng=stream(self._seed, "client", self._client, request.round),
                anchor=anchor,
            )
        )
        std, progress = self._own_noise(plan.noise_multiplier * plan.clip), result.progress
        release = Release(self._client, request.round, result.arrays, head, std, progress.steps, progress.accuracy)
        return self._remember(request, release)

    def evaluate(self, probe: Probe, *, run: str, round: int, multiplier: float) -> tuple[Tensor, float]:
        """Return how many records answer each question of `probe` with yes (k,), and the deviation of their noise.

        A record more or less moves each of the k counts by at most one, and so their vector by at most sqrt(k). The
        noise is this party's own whatever the trust is: who is told the counts never sees them without.

        Raises:
            Refusal: they do not fit the budget; at level "client" no noise hides a client and leaves something of them.
        """
        if self._plan.level == "client":
            raise Refusal(Refusal.BAD_REQUEST)
        sensitivity = math.sqrt(len(probe.names))
        event = Gaussian(multiplier) if self._private else None
        self._charge(event, run, round, sensitivity=sensitivity, multiplier=multiplier, trust="local")
        std = sensitivity * multiplier if self._private else 0.0
        return add_noise(probe.count(self._records), std, self._noise), std

    def affords(self, event: Event) -> bool:
        """Return whether the ledger, which is not touched, has room for `event`; level "none" has for any."""
        lines = read_ledger(self._ledger) if self._ledger.is_file() else []
        return not self._private or self._budget.allows(events_at(self._plan.level, lines), event)

    @property
    def _private(self) -> bool:
        return self._plan.level != "none"

    def _own_noise(self, std: float) -> float:
        """Return the deviation of the noise that this party adds, where noise of deviation `std` is due."""
        return std if self._private and self._plan.trust == "local" else 0.0

    @property
    def _replays(self) -> bool:
        """Whether the answer to a request is kept and given again when it is asked for again.

        Where the server adds the noise, what is asked for again after a crash is one more release, with its own charge.
        """
        return self._private and self._plan.trust == "local"

    def _recall(self, request: EmbedRequest | TrainRequest) -> Release | None:
        """Return the answer to exactly this request if it was given before: it is paid for already."""
        return recall(kept_release(self._ledger), request) if self._replays else None

    def _remember(self, request: EmbedRequest | TrainRequest, release: Release) -> Release:
        if self._replays:
            remember(kept_release(self._ledger), request, release)
        return release

    def repair_ledger(self) -> None:
        """Bring a ledger that a crash left torn back into order; nothing is charged or read but the ledger's owner."""
        self._open_ledger().close()

    def _open_ledger(self) -> Ledger:
        owner, records = self._client, len(self._records)
        return Ledger.open(self._ledger, client=owner, dataset=self._digest, records=records, key=self._sign_key)

    @cached_property
    def _digest(self) -> bytes:
        return dataset_digest(self._records)

    def _charge(
        self,
        event: Event | None,
        run: str,
        round_number: int,
        *,
        sensitivity: float,
        multiplier: float,
        trust: Trust | None = None,
    ) -> str:
        """Write `event` to the ledger and return its head, or refuse; level "none" charges nothing."""
        if event is None:
            return ""
        with self._open_ledger() as ledger:
            if not self._budget.allows(ledger.events_at(self._plan.level), event):
                raise Refusal(Refusal.BUDGET_SPENT)
            return ledger.charge(
                event,
                run=run,
                round=round_number,
                clip=sensitivity,
                noise_std=sensitivity * multiplier,
                delta=self._plan.delta,
                level=self._plan.level,
                trust=trust or self._plan.trust,
            )

    def _load(self, name: str, arrays: Arrays) -> None:
        try:
            load_network(name, self._training.gan.network(name), select(arrays, [name]))
        except (RuntimeError, TypeError):
            raise Refusal(Refusal.BAD_REQUEST) from None

    def _gan(self, arrays: Arrays) -> Gan:
        """Return the networks, with the images in `arrays` in place of a generator that does not travel."""
        training, records = self._training, self._records
        if not training.algorithm.sends_images:
            return training.gan
        images, shape = arrays.get(GENERATED), (training.generated_images, *records.image_shape)
        if images is None or images.dtype != np.float32 or images.shape != shape or not np.isfinite(images).all():
            raise Refusal(Refusal.BAD_REQUEST)
        stored = StoredGenerator(torch.from_numpy(images).to(training.gan.device), records.num_classes)
        return replace(training.gan, generator=stored)

    def _anchor(self, arrays: Arrays) -> Anchor | None:
        feature_map = self._training.anchor_features
        if feature_map is None or TARGET not in arrays:
            return None
        array = arrays[TARGET]
        if array.dtype != np.float32 or array.shape != (self._records.num_classes, feature_map.dimension):
            raise Refusal(Refusal.BAD_REQUEST)
        means = torch.from_numpy(array).to(self._training.gan.device)
        return anchor_to(means, feature_map, self._training.anchor_weight)

    def _gradient(self) -> GradientRule:
        """Return the rule of one batch: divided by its expected rows, or undivided where a sum is what is released."""
        plan, summed = self._plan, self._training.algorithm.releases == "gradient_sum"
        microbatch = self._training.optimisation.microbatch
        if plan.level != "record":
            return PlainGradient(expected_rows=1.0 if summed else None, microbatch=microbatch)
        return PrivateGradient(
            clip=plan.clip,
            noise_multiplier=plan.noise_multiplier if plan.trust == "local" else 0.0,
            expected_rows=1.0 if summed else plan.expected_batch + self._training.optimisation.batch_size,
            noise=self._noise,
            engine=plan.clipping_engine,
            microbatch=self._training.optimisation.microbatch,
        )

    def _batches(self, round_number: int) -> Batches:
        """Return what draws batches: by secret coins, one a record, under a guarantee for records.

        Otherwise from a seeded stream: coins again where sums are released, else batches of fixed size.
        """
        plan = self._plan
        if plan.level == "record":
            return lambda: self._drawn(poisson_indices(plan.records, plan.probability, self._noise.uniform))
        rng = np.random.default_rng(derive_seed(self._seed, "batches", self._client, round_number))
        if self._training.algorithm.releases == "gradient_sum":
            return lambda: self._drawn(poisson_indices(plan.records, plan.probability, rng.random))
        size = self._training.optimisation.batch_size
        return lambda: self._drawn(uniform_indices(plan.records, size, rng))

    def _drawn(self, indices: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        return self._records.batch(torch.from_numpy(indices))
