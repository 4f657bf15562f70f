"""The vault: all private records of one party behind one object, with the plan and the ledger that guard them."""

from __future__ import annotations

import math
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
from fedgan.federation.account import Account
from fedgan.federation.algorithms import ClientRound
from fedgan.federation.asked_map import asked_map
from fedgan.federation.local_training import LocalTraining
from fedgan.federation.replay import kept_release, recall, remember
from fedgan.federation.requests import Description, EmbedRequest, Refusal, Release, TrainRequest
from fedgan.privacy.events import Event, Gaussian
from fedgan.privacy.gradient import PlainGradient, PrivateGradient
from fedgan.privacy.noise import NoiseSource, SecureNoise, add_noise
from fedgan.privacy.plan import PrivacyPlan, Trust
from fedgan.seeding import derive_seed
from fedgan.training.local import Batches
from fedgan.training.rules import GradientRule
from fedgan.training.streams import stream
from fedgan.training.warm_start import embed

if TYPE_CHECKING:
    from fedgan.evaluation.memorisation import Probe


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
        self._account = Account(client, plan, ledger, lifetime_epsilon=lifetime_epsilon, sign_key=sign_key)

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
        training.load(request.arrays)
        training.gan.perturbation = training.gan.perturbation.at(request.round, request.augmentation_chance)
        gan = training.gan_with(request.arrays, self._records.image_shape, self._records.num_classes)
        anchor = training.anchor(request.arrays, self._records.num_classes)
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

    def evaluate(self, probe: Probe, *, run: str, round: int, multiplier: float) -> tuple[Tensor, float, str]:
        """Return how many records answer each question of `probe` with yes (k,), their noise's deviation, and the head.

        A record more or less moves each of the k counts by at most one, and so their vector by at most sqrt(k). The
        noise is this party's own whatever the trust is: who is told the counts never sees them without.

        Raises:
            Refusal: they do not fit the budget; at level "client" no noise hides a client and leaves something of them.
        """
        if self._plan.level == "client":
            raise Refusal(Refusal.BAD_REQUEST)
        sensitivity = math.sqrt(len(probe.names))
        event = Gaussian(multiplier) if self._private else None
        head = self._charge(event, run, round, sensitivity=sensitivity, multiplier=multiplier, trust="local")
        std = sensitivity * multiplier if self._private else 0.0
        return add_noise(probe.count(self._records), std, self._noise), std, head

    def affords(self, event: Event) -> bool:
        """Return whether the ledger, which is not touched, has room for `event`; level "none" has for any."""
        return self._account.affords(event)

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
        self._account.open(self._digest).close()

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
        return self._account.charge(
            event, self._digest, run, round_number, sensitivity=sensitivity, multiplier=multiplier, trust=trust
        )

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
            microbatch=microbatch,
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
