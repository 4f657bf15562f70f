"""The server's side of a mean embedding in several releases, the later ones of features learned on generated images."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from fedgan.models import ImageShape
from fedgan.training.warm_start.classifier import learn_features
from fedgan.training.warm_start.embedding import EmbeddingTarget
from fedgan.training.warm_start.learned import LearnedMap
from fedgan.training.warm_start.rows import ClassFeatures

Arrays = Mapping[str, Tensor]


class LearnedStages:
    """What was released and learned so far.

    The first release is of features drawn without data. Before each other one the generator is fitted to all that is
    in (`joined`), and a classifier learns features on its images (`learn`). Nothing here reads a record, so the noise
    of the releases is all that privacy needs.

    Args:
        stages: releases in all, at least 2.
        image_shape: (channels, height, width) in pixels.
        as_seen: what weights look like where records are mapped by them, if they are rounded on their way there.

    Attributes:
        stages: as above.
        targets: of the releases that are in.
    """

    def __init__(
        self, stages: int, image_shape: ImageShape, *, as_seen: Callable[[Arrays], Arrays] = lambda arrays: arrays
    ) -> None:
        self.stages = stages
        self.targets: list[EmbeddingTarget] = []
        self._image_shape = image_shape
        self._as_seen = as_seen
        self._networks: list[dict[str, Tensor]] = []

    @property
    def stage(self) -> int:
        """Releases that are in, which is the number of the next one."""
        return len(self.targets)

    @property
    def steps(self) -> int:
        """Releases that are in and features that were learned, together."""
        return len(self.targets) + len(self._networks)

    @property
    def done(self) -> bool:
        """Whether every release is in."""
        return self.stage == self.stages

    @property
    def unlearned(self) -> bool:
        """Whether features are to be learned before the next release can be asked for."""
        return 0 < self.stage < self.stages and len(self._networks) < self.stage

    def learn(self, generator: nn.Module, rng: torch.Generator) -> None:
        """Learn the features of the next release on images of `generator`."""
        self._networks.append(learn_features(generator, rng))

    def arrays(self) -> dict[str, Tensor]:
        """Return the weights of the features learned last, as a request carries them."""
        return self._networks[-1]

    def feature_map(self) -> LearnedMap:
        """Return the map of the features learned last."""
        return self._map(self.arrays())

    def absorb(self, target: EmbeddingTarget) -> None:
        """Move on by a release."""
        self.targets.append(target)

    def joined(self, first: ClassFeatures) -> tuple[Callable[[Tensor], Tensor], EmbeddingTarget]:
        """Return the rows of all releases that are in side by side, and the target to fit in them.

        Args:
            first: the map of the first release; the rows are computed on its device.
        """
        maps = [first, *(self._map(arrays).to(first.device) for arrays in self._networks[: self.stage - 1])]
        means = torch.cat([target.means for target in self.targets], dim=1)
        target = EmbeddingTarget(means, self.targets[0].counts, self.targets[0].noise_std)
        return (lambda images: torch.cat([each(images) for each in maps], dim=1)), target

    def state(self) -> dict[str, Tensor]:
        """Return everything that a checkpoint has to keep."""
        kept: dict[str, Tensor] = {}
        for index, target in enumerate(self.targets):
            noise = torch.tensor(target.noise_std, dtype=torch.float64)
            kept |= {f"{index}/means": target.means, f"{index}/counts": target.counts, f"{index}/noise_std": noise}
        for index, arrays in enumerate(self._networks):
            kept |= {f"{index}/network/{name}": tensor for name, tensor in arrays.items()}
        return {name: tensor.clone() for name, tensor in kept.items()}  # a checkpoint may hold each only once

    def load_state(self, state: Arrays) -> None:
        """Go on from what `state` returned; KeyError where a part is missing."""
        count = sum(name.endswith("/means") for name in state)
        self.targets = [
            EmbeddingTarget(state[f"{index}/means"], state[f"{index}/counts"], float(state[f"{index}/noise_std"]))
            for index in range(count)
        ]
        names = [name.partition("/network/") for name in state if "/network/" in name]
        self._networks = [
            {name: state[f"{index}/network/{name}"] for owner, _, name in names if owner == str(index)}
            for index in range(len({owner for owner, _, _ in names}))
        ]

    def _map(self, arrays: Arrays) -> LearnedMap:
        return LearnedMap(self._image_shape, self._as_seen(arrays))
