"""Gradient canaries: rows whose discriminator gradient is one coordinate, through the very rule that guards records.

A module around the discriminator gets one more weight a canary. A canary's row has the loss gradient of that weight
alone: one vector of an orthonormal system, a thousand times longer than the clip. No other row has any part in it. The
weights stay zero and never leave this step: what the rule returns for them is what a release would hold in these
directions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from fedgan.privacy.gradient import PrivateGradient
from fedgan.training.rules import GradientRule

EXCESS = 1000.0
"""The length of a canary's gradient before clipping, in units of the clip (times the loss' slope at 0, about 1)."""


class WithDirections(nn.Module):
    """`module` on (images, codes), whose rows of direction i > 0 answer with a weight of their own instead."""

    def __init__(self, module: nn.Module, *, directions: int, num_classes: int, scale: float) -> None:
        super().__init__()
        self.module = module
        zeros = torch.zeros(directions + 1, 1, device=next(module.parameters()).device)
        self.directions = nn.Embedding.from_pretrained(zeros, freeze=False)
        self._num_classes = num_classes
        self._scale = scale

    def forward(self, images: Tensor, codes: Tensor, *others: Tensor) -> Tensor:
        """Return logits (N,) for images (N, C, H, W) and codes (N,) = label + num_classes * direction."""
        return self._where(codes, self.module(images, codes % self._num_classes, *others))

    def judge(self, images: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N,), as `forward` does, and the scores (N, num_classes) of a module that scores classes."""
        logits, scores = self.module.judge(images, codes % self._num_classes)  # type: ignore[operator]
        return self._where(codes, logits), scores

    def _where(self, codes: Tensor, logits: Tensor) -> Tensor:
        """Return `logits` where a code has no direction, and the weights of the directions elsewhere.

        Of a row of which several copies are shown there are several logits, and beside a logit there may be the
        log-probability of a class, which every loss pulls up as well.
        """
        directions = codes.div(self._num_classes, rounding_mode="floor")
        own = self._scale * self.directions(directions)[:, 0]
        rows = (-1, *[1] * (logits.dim() - 1))
        return torch.where((directions == 0).view(rows), logits, own.view(rows))


class CanaryGradient:
    """Calls `rule` with the canaries' directions added, and reports what came out in each.

    Args:
        rule: what the vault would use; its clip, noise and engine act on canaries as on records.
        directions: how many there are.
        num_classes: of the discriminator.
        clip: C, the bound that the rule is meant to keep.
        observe: is called after each step with the projections (m,) of the released sum on the canaries' directions, in
            units of C. A canary that was in the batch adds 1 to its own, under a rule that clips.
    """

    def __init__(
        self,
        rule: GradientRule,
        *,
        directions: int,
        num_classes: int,
        clip: float,
        observe: Callable[[Tensor], None],
    ) -> None:
        self._rule = rule
        self._directions = directions
        self._num_classes = num_classes
        self._clip = clip
        self._observe = observe

    def __call__(
        self, module: nn.Module, inputs: tuple[Tensor, ...], loss: Callable[[Tensor], Tensor]
    ) -> Mapping[str, Tensor]:
        """Return the gradients of `module` that `rule` computed from everything but canaries, and their noise."""
        wrapped = WithDirections(
            module, directions=self._directions, num_classes=self._num_classes, scale=EXCESS * self._clip
        ).train(module.training)
        gradients = dict(self._rule(wrapped, inputs, loss))
        released = gradients.pop("directions.weight")[1:, 0].detach().cpu()
        rows = self._rule.expected_rows if isinstance(self._rule, PrivateGradient) else 1.0
        self._observe(-released * rows / self._clip)  # every loss pulls real rows' logits up, against the gradient
        return {name.removeprefix("module."): gradient for name, gradient in gradients.items()}
