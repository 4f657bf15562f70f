"""The chance with which an augmentation is applied to an image: fixed, or led by the discriminator's accuracy."""

from __future__ import annotations

from dataclasses import dataclass, replace

HIGHEST = 0.8
"""Above it a generator begins to make augmented images (Karras et al. 2020, section 2.2)."""


@dataclass(frozen=True)
class AugmentationChance:
    """Adaptive discriminator augmentation (Karras et al. 2020, arXiv:2006.06676) from signals that cost nothing.

    There the discriminator's sign on training records leads, which under privacy would have to be charged. Here its
    accuracy on generated images does, as for `Ladder`: post-processing of private weights. A discriminator that tells
    nearly all of them apart has learned its records by heart or is too far ahead, so the chance rises, and otherwise
    it falls, by `steps / full` for `steps` generator steps, within [0, `HIGHEST`].

    Attributes:
        value: the chance in [0, 1], now.
        adaptive: whether it moves at all.
        threshold: accuracy in [0, 1] above which it rises: 0.8, the rate at which a mean sign is the 0.6 of the paper.
        full: generator steps in which it would go from 0 to 1.
    """

    value: float = 1.0
    adaptive: bool = False
    threshold: float = 0.8
    full: int = 200

    def after(self, accuracy: float, steps: int) -> AugmentationChance:
        """Return the chance after `steps` generator steps whose mean accuracy on generated images was `accuracy`."""
        if not self.adaptive or steps < 1:
            return self
        moved = self.value + (steps if accuracy > self.threshold else -steps) / self.full
        return replace(self, value=min(HIGHEST, max(0.0, moved)))


ALWAYS = AugmentationChance()
"""Every augmentation on every image."""


def chance_of(setting: float | str) -> AugmentationChance:
    """Return the chance that a configuration sets: a number, or "adaptive", which begins with none."""
    return AugmentationChance(0.0, adaptive=True) if isinstance(setting, str) else AugmentationChance(setting)
