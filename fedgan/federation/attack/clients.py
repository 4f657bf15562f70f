"""Canary clients: parties whose whole update is one direction, clipped and noised by the server's own step.

They hold no records and train nothing, so a thousand cost little. What they attack is what the server does to updates
at level "client": its clip, its sum and its noise. The coin by which each takes part is theirs, drawn as a vault's is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from fedgan.audit.attack.guesses import Membership, Scores
from fedgan.audit.attack.likelihood import step_evidence
from fedgan.federation.arrays import networks_of
from fedgan.federation.attack.gradient import EXCESS, WithDirections
from fedgan.federation.requests import Arrays, Release
from fedgan.federation.server_steps import ClippedUpdates
from fedgan.privacy.noise import NoiseSource
from fedgan.privacy.plan import PrivacyPlan
from fedgan.seeding import derive_seed
from fedgan.training.gan import Gan

_DIRECTIONS = "discriminator/directions.weight"


class CanaryClients:
    """Takes the server's own `step`, with the updates of canary clients among those of the others.

    Args:
        step: of the server.
        plan: whose rate and noise the claim is about.
        clients: how many canary clients there are.
        num_classes: of the discriminator.
        noise: where their coins for a round come from.
        seed: of the coins that say which of them are there at all.

    Attributes:
        included: (m,) those that are there.
        evidence: (m,) summed over rounds.
    """

    secret_cohort = True

    def __init__(
        self,
        step: ClippedUpdates,
        *,
        plan: PrivacyPlan,
        clients: int,
        num_classes: int,
        noise: NoiseSource,
        seed: int,
    ) -> None:
        rng = np.random.default_rng(derive_seed(seed, "canary clients"))
        self.included: Membership = rng.random(clients) < 0.5
        self.evidence: Scores = np.zeros(clients)
        self.least = step.least
        self._step = step
        self._plan = plan
        self._num_classes = num_classes
        self._noise = noise

    def expected(self, gan: Gan) -> dict[str, tuple[int, ...]]:
        """Return what the server's step expects of a release of the other clients."""
        return self._step.expected(gan)

    def move(self, gan: Gan, releases: Sequence[Release], *, round_number: int, records: int) -> None:
        """Take the step with the canaries that are there and take part, and look at what is published."""
        wide = WithDirections(
            gan.discriminator, directions=len(self.evidence), num_classes=self._num_classes, scale=1.0
        ).train(gan.discriminator.training)
        wider, clip = replace(gan, discriminator=wide), self._step.clip
        before = networks_of(wider, ["discriminator"])
        moved = [replace(release, arrays=_widened(release.arrays, before)) for release in releases]
        takes_part = self._noise.uniform(len(self.evidence)) < self._plan.probability
        for canary in np.flatnonzero(self.included & takes_part):
            direction = np.zeros_like(before[_DIRECTIONS])
            direction[canary + 1] = EXCESS * clip
            moved.append(Release(f"canary {canary}", round_number, before | {_DIRECTIONS: direction}))
        self._step.move(wider, moved, round_number=round_number, records=records)
        published = wide.directions.weight.detach().cpu().double().numpy()[1:, 0]
        seen = published * self._plan.probability * self._plan.clients / clip
        self.evidence += step_evidence(
            seen, probability=self._plan.probability, noise_multiplier=self._plan.noise_multiplier
        )

    def state(self) -> dict[str, Tensor]:
        """Return the state of the server's step."""
        return self._step.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up the state of the server's step."""
        self._step.load_state(state)


def _widened(arrays: Arrays, before: Arrays) -> Arrays:
    """Return an update's `arrays` by the names of the wider discriminator; it has no part in any direction."""
    named = {name.replace("discriminator/", "discriminator/module.", 1): array for name, array in arrays.items()}
    return named | {_DIRECTIONS: before[_DIRECTIONS]}
