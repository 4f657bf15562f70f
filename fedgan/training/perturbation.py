"""What the discriminator is shown in place of an image: augmented, with noise, perhaps several times.

Real and generated images are treated alike, in both networks' steps, so that the generator does not learn the change
(Zhao et al. 2020, arXiv:2006.10738; noise: Sonderby et al. 2017, arXiv:1610.04490).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np
import torch
from torch import Tensor

from fedgan.training.augmentation import Augmentation
from fedgan.training.record_streams import KEY, normals, record_words, uniforms


@dataclass(frozen=True)
class Perturbation:
    """How images are changed before the discriminator sees them.

    Guarantee: what is shown of a record is a function of this record and of what is public, by the random numbers of
    `record_words`. The step's stream advances alike whatever the batch.

    Attributes:
        augmentations: applied one after the other.
        chance: with which each of them is applied to each image.
        noise: standard deviation of the noise added to each pixel in the first round.
        rounds: over which the noise falls, linearly, to noise / rounds in the last one.
        copies: how often each image is shown, each time changed anew; the loss of a row is the mean over its copies, so
            a record is clipped once, whatever their number (De et al. 2022, arXiv:2204.13650).
        round: the one that is trained, from 1.
    """

    augmentations: tuple[Augmentation, ...] = ()
    noise: float = 0.0
    rounds: int = 1
    copies: int = 1
    round: int = 1
    chance: float = 1.0

    def at(self, round_number: int, chance: float) -> Perturbation:
        """Return the perturbation of another round, with another chance of augmentations."""
        return replace(self, round=round_number, chance=chance)

    @property
    def active(self) -> bool:
        """Whether anything is changed at all."""
        return bool(self.augmentations) or self.noise > 0 or self.copies > 1

    @property
    def std(self) -> float:
        """Standard deviation of this round's noise."""
        return self.noise * max(0.0, 1 - (self.round - 1) / max(1, self.rounds))

    def of_records(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Return what is shown of records (B, C, H, W): (B, C, H, W), or (B, copies, C, H, W) for several copies.

        Args:
            images: in [-1, 1]; B may be 0.
            labels: (B,) int64.
            rng: names the step.
        """
        step = int(torch.randint(2**62, (), generator=rng))
        words = record_words("shown", step, images, labels, self.copies * (self._draws + KEY))
        pixels, shown = prod(images.shape[1:]) if self.std > 0 else 0, []
        for part in np.split(words, self.copies, axis=1):
            noise = normals(part[:, self._draws :], pixels).reshape(-1, *images.shape[1:]) if pixels else images[:0]
            shown.append(self._change(images, uniforms(part[:, : self._draws]), noise))
        return shown[0] if self.copies == 1 else torch.stack(shown, dim=1)

    def of_generated(self, images: Tensor, rng: torch.Generator, *, copies: int = 1) -> Tensor:
        """Return what is shown of generated images (N, C, H, W), as `of_records` does, by numbers out of `rng`."""
        shown = []
        for _ in range(copies):
            numbers = torch.rand(len(images), self._draws, generator=rng)
            noise = torch.randn(images.shape if self.std > 0 else (0, *images.shape[1:]), generator=rng)
            shown.append(self._change(images, numbers, noise))
        return shown[0] if copies == 1 else torch.stack(shown, dim=1)

    @property
    def _draws(self) -> int:
        """Numbers that an image needs."""
        return self._gates + sum(augmentation.draws for augmentation in self.augmentations)

    @property
    def _gates(self) -> int:
        """Those that decide which augmentations are applied: one each, where that is not certain."""
        return len(self.augmentations) if self.chance < 1 else 0

    def _change(self, images: Tensor, numbers: Tensor, noise: Tensor) -> Tensor:
        sizes = [self._gates, *(augmentation.draws for augmentation in self.augmentations)]
        chosen, *parts = numbers.to(images).split(sizes, dim=1)
        for place, (augmentation, part) in enumerate(zip(self.augmentations, parts, strict=True)):
            changed = augmentation.apply(images, part)
            if self._gates:
                changed = torch.where(chosen[:, place, None, None, None] < self.chance, changed, images)
            images = changed
        return images + self.std * noise.to(images) if len(noise) else images


NOTHING = Perturbation()
"""Images are shown as they are."""
