"""What the discriminator is shown in place of an image: augmented, with noise, perhaps several times.

Real and generated images are treated alike, in both networks' steps, so that the generator does not learn the change
(Zhao et al. 2020, arXiv:2006.10738; noise: Sonderby et al. 2017, arXiv:1610.04490).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256

import torch
from torch import Tensor

from fedgan.seeding import derive_seed
from fedgan.training.augmentation import Augmentation


@dataclass(frozen=True)
class Perturbation:
    """How images are changed before the discriminator sees them.

    Guarantee: what is shown of a record is a function of this record and of what is public. Its random numbers come
    from a stream named by the step and by the record itself, not by its place in the batch: dealt out in order, they
    would change for all later records when one leaves. The step's stream advances alike whatever the batch.

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
        host = images.detach().cpu()  # once, as every record is read on its own
        streams = [_stream(step, image, label) for image, label in zip(host, labels.tolist(), strict=True)]
        shown = []
        for _ in range(self.copies):
            numbers = [torch.rand(self._draws, generator=stream) for stream in streams]
            noises = [torch.randn(images.shape[1:], generator=stream) for stream in streams if self.std > 0]
            shown.append(self._change(images, _stack(numbers, (self._draws,)), _stack(noises, images.shape[1:])))
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


def _stream(step: int, image: Tensor, label: int) -> torch.Generator:
    """Return the random numbers of one record, whose image is on the CPU, in one step."""
    record = sha256(image.contiguous().numpy().tobytes()).hexdigest()
    return torch.Generator().manual_seed(derive_seed(step, "shown", record, label))


def _stack(rows: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    return torch.stack(rows) if rows else torch.zeros(0, *shape)


NOTHING = Perturbation()
"""Images are shown as they are."""
