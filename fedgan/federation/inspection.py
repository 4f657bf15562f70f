"""Which of a round's releases enter: the sound ones, each with the weight that its client has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fedgan.federation.algorithms import Algorithm
from fedgan.federation.arrays import networks_of
from fedgan.federation.bounds import ReleaseBounds
from fedgan.federation.checks import release_fault, sift
from fedgan.federation.requests import Release
from fedgan.federation.weights import Weights
from fedgan.training.gan import Gan

Sifted = tuple[list[Release], dict[str, str]]
"""The good releases, sorted by client, and what is wrong with the others."""


@dataclass(frozen=True)
class Inspector:
    """Looks at every release before it touches the model.

    Attributes:
        weights: of the clients in sums over records.
        bounds: on what an honest client can release; None for no bounds but those of float32.
    """

    weights: Weights = field(default_factory=Weights)
    bounds: ReleaseBounds | None = None

    def embeddings(
        self, releases: Sequence[Release], shape: tuple[int, int], *, whole_clients: bool, stage: int
    ) -> Sifted:
        """Sift embeddings of `shape` (cells, dimension) that answer release `stage` of the warm start."""
        bounds = self.bounds

        def fault(release: Release) -> str | None:
            found = release_fault(release, round_number=0, steps=0, expected={"embedding": shape}, stage=stage)
            return found or (bounds.embedding_fault(release) if bounds else None)

        good, faulty = sift(releases, fault)
        return (good if whole_clients else [self.weights.apply(release) for release in good]), faulty

    def round(
        self,
        releases: Sequence[Release],
        algorithm: Algorithm,
        gan: Gan,
        *,
        expected: dict[str, tuple[int, ...]],
        number: int,
        steps: int,
        generator_steps: int,
    ) -> Sifted:
        """Sift the releases of a round.

        Args:
            releases: in any order.
            algorithm, gan: whose networks, as they were sent.
            expected: shape of every array, by name.
            number: of the round.
            steps, generator_steps: that a client was asked to take; 0 generator steps where it has no generator.
        """
        bounds, summed = self.bounds, algorithm.releases == "gradient_sum"
        before = {} if summed else networks_of(gan, algorithm.returns)
        trained = {
            f"{network}/{name}" for network in algorithm.returns for name, _ in gan.network(network).named_parameters()
        }

        def fault(release: Release) -> str | None:
            found = release_fault(release, round_number=number, steps=steps, expected=expected)
            if found or bounds is None:
                return found
            if summed:
                return bounds.gradient_fault(release)
            return bounds.network_fault(release, before, trained=trained, steps=steps, generator_steps=generator_steps)

        good, faulty = sift(releases, fault)
        return ([self.weights.apply(release) for release in good] if summed else good), faulty
