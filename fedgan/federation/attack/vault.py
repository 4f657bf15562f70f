"""A vault that is watched: the same charges, sampler, clipping and noise, with canaries among its records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fedgan.audit.attack.guesses import Scores
from fedgan.audit.attack.likelihood import step_evidence
from fedgan.data.sampling import uniform_indices
from fedgan.federation.attack.gradient import CanaryGradient
from fedgan.federation.attack.records import ClientCanaries
from fedgan.federation.local_training import LocalTraining
from fedgan.federation.requests import Description, EmbedRequest, Release, TrainRequest
from fedgan.federation.vault import Vault
from fedgan.privacy.noise import NoiseSource
from fedgan.privacy.plan import PrivacyPlan
from fedgan.seeding import derive_seed
from fedgan.training.local import Batches
from fedgan.training.rules import GradientRule


class Watch:
    """What an attacker has seen so far of one client's releases, or of what the server made of them by its noise.

    Args:
        canaries: of the client.
        plan: whose rate and noise the claim is about; both are public.
        discriminator: with the weights that the run begins with.

    Attributes:
        evidence: (m,) for gradient canaries, summed over steps.
        rounds: rounds watched.
    """

    def __init__(self, canaries: ClientCanaries, plan: PrivacyPlan, discriminator: nn.Module) -> None:
        self.canaries = canaries
        self.evidence: Scores = np.zeros(len(canaries.gradient))
        self.rounds = 0
        self._probability = plan.probability
        self._noise = plan.noise_multiplier if plan.level == "record" else 0.0
        self._held: Tensor | None = None
        self._first = self._logits(discriminator)
        self._later = np.zeros_like(self._first)

    def see_step(self, projections: Tensor) -> None:
        """Take in what one released sum holds in each canary's direction, (m,) in units of the clip."""
        seen = projections.double().numpy()
        self.evidence += step_evidence(seen, probability=self._probability, noise_multiplier=self._noise)

    def hold(self, projections: Tensor) -> None:
        """Keep what one sum without noise holds in each direction, for the server that adds the noise."""
        self._held = projections

    def take_held(self) -> Tensor:
        """Return what was held, once; ValueError where nothing is."""
        held, self._held = self._held, None
        if held is None:
            raise ValueError("this client's sum holds no directions")
        return held

    def see_round(self, discriminator: nn.Module) -> None:
        """Take in the discriminator that the client releases."""
        self._later += self._logits(discriminator)
        self.rounds += 1

    def logit_scores(self) -> Scores:
        """Return (m,) for input canaries: how far their logits rose on average, in standard deviations (LOGAN).

        Source: the discriminator's output as a score, Hayes et al. 2019, arXiv:1705.07663.
        """
        rise = self._later / max(1, self.rounds) - self._first
        scores: Scores = (rise - rise.mean()) / max(float(rise.std()), 1e-12) if len(rise) else rise
        return scores

    @torch.no_grad()
    def _logits(self, discriminator: nn.Module) -> Scores:
        images, labels = self.canaries.images(self.canaries.input)
        device = next(discriminator.parameters()).device
        logits: Scores = discriminator(images.to(device), labels.to(device)).double().cpu().numpy()
        return logits


class WatchedVault(Vault):
    """A `Vault` over records with canaries. It changes what is trained on and what is seen, never how.

    Args:
        client: name of the party.
        watch: holds its records and takes in what an attacker would see.
        plan, ledger, lifetime_epsilon, training, seed, noise: as for `Vault`; the plan's records count the canaries.
    """

    def __init__(
        self,
        client: str,
        watch: Watch,
        *,
        plan: PrivacyPlan,
        ledger: Path,
        lifetime_epsilon: float,
        training: LocalTraining,
        seed: int,
        noise: NoiseSource | None = None,
    ) -> None:
        super().__init__(
            client,
            watch.canaries.records,
            plan=plan,
            ledger=ledger,
            lifetime_epsilon=lifetime_epsilon,
            training=training,
            seed=seed,
            noise=noise,
        )
        self._watch = watch

    def describe(self) -> Description:
        """Return what is public about this party, its own records counted."""
        return Description(
            self._client,
            self._watch.canaries.public_records,
            self._records.image_shape,
            self._records.num_classes,
        )

    def embed(self, request: EmbedRequest) -> Release:
        """Return the warm start's release, over the records that have an image."""
        self._records = self._watch.canaries.records.without_directions()
        try:
            return super().embed(request)
        finally:
            self._records = self._watch.canaries.records

    def train(self, request: TrainRequest) -> Release:
        """Train as every vault does, and show the watch what left."""
        release = super().train(request)
        self._watch.see_round(self._training.gan.discriminator)
        return release

    def _batches(self, round_number: int) -> Batches:
        """Return the vault's own batches; without a guarantee larger ones, so that each row is drawn as in the run."""
        if self._plan.level != "none" or self._training.algorithm.releases == "gradient_sum":
            return super()._batches(round_number)
        rng = np.random.default_rng(derive_seed(self._seed, "batches", self._client, round_number))
        size = int(self._plan.expected_batch)
        return lambda: self._drawn(uniform_indices(self._plan.records, size, rng))

    def _gradient(self) -> GradientRule:
        rule = super()._gradient()
        canaries = self._watch.canaries
        if len(canaries.gradient) == 0:
            return rule
        noised_by_server = self._plan.trust == "aggregator" and self._training.algorithm.releases == "gradient_sum"
        return CanaryGradient(
            rule,
            directions=len(canaries.gradient),
            num_classes=self._records.num_classes,
            clip=self._plan.clip,
            observe=self._watch.hold if noised_by_server else self._watch.see_step,
        )
