"""How many discriminator steps go with one generator step."""

from __future__ import annotations

from dataclasses import dataclass, replace

RUNGS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


@dataclass(frozen=True)
class Ladder:
    """Adaptive discriminator steps (Bie, Kamath and Zhang 2023, arXiv:2302.02936).

    It climbs one rung when the discriminator no longer tells generated images apart: the moving average of its accuracy
    on them has come down to `threshold` after at least `grace` generator steps on this rung. Only generated images
    enter, so it is driven by post-processing and costs nothing.

    Attributes:
        rungs: discriminator steps for each generator step, ascending.
        threshold: accuracy in [0, 1] at or below which it climbs.
        grace: generator steps on a rung before it may climb.
        decay: of the moving average, per generator step.
        rung, steps, accuracy: where it stands; `accuracy` is 1 before any step.
    """

    rungs: tuple[int, ...] = RUNGS
    threshold: float = 0.6
    grace: int = 200
    decay: float = 0.99
    rung: int = 0
    steps: int = 0
    accuracy: float = 1.0

    @property
    def discriminator_steps(self) -> int:
        """Discriminator steps for each generator step, now."""
        return self.rungs[self.rung]

    def after(self, accuracy: float, steps: int) -> Ladder:
        """Return the ladder after `steps` generator steps whose mean accuracy on generated images was `accuracy`."""
        if steps < 1:
            return self
        weight = self.decay**steps
        moved = replace(self, steps=self.steps + steps, accuracy=weight * self.accuracy + (1 - weight) * accuracy)
        if moved.steps < self.grace or moved.accuracy > self.threshold or self.rung + 1 == len(self.rungs):
            return moved
        return replace(moved, rung=self.rung + 1, steps=0, accuracy=1.0)


def fixed_ladder(discriminator_steps: int) -> Ladder:
    """Return a ladder of one rung, which never climbs."""
    return Ladder(rungs=(discriminator_steps,))
