"""Per-sample clipping at nearly the price of an ordinary step: one forward and one backward pass.

The backward pass stops at the outputs of layers and computes no gradient of a weight. From a layer's inputs and the
gradients of its outputs follow the norms of every sample's gradient, mostly without the gradient (ghost norms), and,
once the norms are known, the clipped sum as one weighted product: mixed ghost clipping with book-keeping (Bu et al.
2022, arXiv:2205.10683 and arXiv:2210.00038).
"""

from __future__ import annotations

import logging
from functools import cache
from weakref import WeakSet

import torch
from torch import Tensor, nn

from fedgan.privacy.clipping.engine import (
    ENGINES,
    Differentiating,
    LossFunction,
    clip_factors,
    sample_losses,
    trainable,
)
from fedgan.privacy.clipping.functional import functional_gradient_sum
from fedgan.privacy.clipping.gradients import SampleGradients
from fedgan.privacy.clipping.probe import without_rule
from fedgan.privacy.clipping.recorder import Recorder

_LOG = logging.getLogger(__name__)
_WITHOUT_RULE: WeakSet[nn.Module] = WeakSet()


@ENGINES.register("book_keeping")
def book_keeping(
    module: nn.Module, inputs: tuple[Tensor, ...], loss: LossFunction, *, max_norm: float
) -> tuple[dict[str, Tensor], Tensor]:
    """Clip without writing out per-sample gradients of large layers.

    A model that uses parameters otherwise than by the functions in `layers.RULES` is handled exactly but slowly, by
    `torch.func`; the log says so once. So is a model whose layers receive something else than the N samples along
    dimension 0. A `Differentiating` module has no other way and is not spoken of.
    """
    if isinstance(module, Differentiating):
        return functional_gradient_sum(module, inputs, loss, max_norm=max_norm)
    parameters = trainable(module)
    if name := without_rule(module, inputs, parameters):
        _warn_once(type(module).__name__, name)
    elif module not in _WITHOUT_RULE:
        recorder = Recorder(inputs, parameters)
        with torch.enable_grad(), recorder:
            losses = sample_losses(module, inputs, loss)
        behind = recorder.used_otherwise(losses)
        others = [name for name, parameter in parameters.items() if id(parameter) in behind]
        if not others:
            return _clip(_sample_gradients(recorder, losses, parameters), max_norm)
        _WITHOUT_RULE.add(module)
        _warn_once(type(module).__name__, others[0])
    return functional_gradient_sum(module, inputs, loss, max_norm=max_norm)


@cache
def _warn_once(model: str, parameter: str) -> None:
    message = "per-sample gradients of %s by torch.func, exact but slow: no rule covers how its parameter %r is used"
    _LOG.warning(message, model, parameter)


@torch.no_grad()
def _sample_gradients(recorder: Recorder, losses: Tensor, parameters: dict[str, nn.Parameter]) -> SampleGradients:
    gradients = SampleGradients(parameters, losses.detach())
    if recorder.uses and losses.requires_grad:
        edges = [use.output for use in recorder.uses]
        outputs = [*torch.autograd.grad(losses, edges, torch.ones_like(losses), allow_unused=True)]
        while recorder.uses:  # popped, so that what a contribution no longer needs is freed at once
            use, gradient = recorder.uses.pop(), outputs.pop()
            for weight, contribution in use.contributions(gradient) if gradient is not None else ():
                gradients.add(weight, contribution)
    return gradients


@torch.no_grad()
def _clip(gradients: SampleGradients, max_norm: float) -> tuple[dict[str, Tensor], Tensor]:
    norms = gradients.norms()
    return gradients.weighted_sums(clip_factors(norms, max_norm)), norms
