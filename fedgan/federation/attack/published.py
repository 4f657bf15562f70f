"""The server's noise on canaries' directions: under trust "aggregator" an attacker sees sums after it, not before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from fedgan.federation.attack.gradient import WithDirections
from fedgan.federation.attack.vault import Watch
from fedgan.federation.requests import Arrays, Release
from fedgan.federation.server_steps.gradients import GradientStep
from fedgan.training.gan import Gan

_DIRECTIONS = "gradient/directions.weight"


class PublishedStep:
    """Takes the server's own `step`, with the watched clients' canary directions among the parameters that it moves.

    What `step` adds up, noises and divides there is what it does to every other parameter. The watches see the result;
    the discriminator and Adam see nothing of it.

    Args:
        step: of the server.
        watches: of the watched clients, which hold what their clients' sums have in their canaries' directions.
        num_classes: of the discriminator.
        clip: C, the bound that each client's rule is meant to keep.
    """

    secret_cohort = False

    def __init__(self, step: GradientStep, watches: Mapping[str, Watch], *, num_classes: int, clip: float) -> None:
        self.least = step.least
        self._step = step
        self._watches = dict(watches)
        self._num_classes = num_classes
        self._clip = clip
        sizes = np.cumsum([1, *(len(watch.evidence) for watch in self._watches.values())])
        self._rows = {
            client: slice(int(begin), int(end))
            for client, begin, end in zip(self._watches, sizes[:-1], sizes[1:], strict=True)
        }
        self._directions = int(sizes[-1]) - 1

    def expected(self, gan: Gan) -> dict[str, tuple[int, ...]]:
        """Return what the server's step expects of a release, which holds no canaries."""
        return self._step.expected(gan)

    def move(self, gan: Gan, releases: Sequence[Release], *, round_number: int, records: int) -> None:
        """Take the step, and show each watch what is published in its directions, in units of the clip."""
        wide = WithDirections(
            gan.discriminator, directions=self._directions, num_classes=self._num_classes, scale=self._clip
        ).train(gan.discriminator.training)
        wider = replace(gan, discriminator=wide)
        widened = [replace(release, arrays=self._widened(release)) for release in releases]
        self._step.move(wider, widened, round_number=round_number, records=records)
        published = wide.directions.weight.grad
        if published is None:
            raise ValueError("the server's step left no gradient in the canaries' directions")
        # Every loss pulls real rows' logits up, against the gradient.
        sums = -published[:, 0].detach().cpu() * self._step.expected_rows(records) / self._clip
        for release in releases:
            if release.client in self._rows:
                self._watches[release.client].see_step(sums[self._rows[release.client]])

    def state(self) -> dict[str, Tensor]:
        """Return the state of the server's step."""
        return self._step.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up the state of the server's step."""
        self._step.load_state(state)

    def _widened(self, release: Release) -> Arrays:
        """Return the arrays of `release` by the names of the wider discriminator, with its sums on the directions."""
        arrays = {name.replace("gradient/", "gradient/module.", 1): array for name, array in release.arrays.items()}
        sums = torch.zeros(self._directions + 1, 1)
        if release.client in self._rows:
            sums[self._rows[release.client], 0] = -self._clip * self._watches[release.client].take_held()
        return arrays | {_DIRECTIONS: sums.numpy()}
