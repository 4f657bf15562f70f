"""The registry of penalties on the gradient of the discriminator's logit with respect to its image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from fedgan.registry import Registry


@dataclass(frozen=True)
class Penalty:
    """What a real row's loss has added to it, so that clipping one record bounds its loss and its penalty together.

    Attributes:
        of_norm: maps the norms (N,) of the gradients of the logits to penalties (N,).
        between: where the gradient is taken: at a random place between the real image and a generated one of its own,
            or at the real image itself.
    """

    of_norm: Callable[[Tensor], Tensor]
    between: bool


PENALTIES: Registry[Penalty | None] = Registry("loss.penalty", "fedgan.losses.penalties")
