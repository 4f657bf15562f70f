"""Per-sample gradients by Opacus' hooks: slow, thoroughly tested, and the reference for faster engines."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fedgan.errors import UsageError
from fedgan.privacy.clipping.engine import (
    ENGINES,
    Differentiating,
    LossFunction,
    clip_factors,
    sample_losses,
    trainable,
)

if TYPE_CHECKING:
    from opacus.grad_sample import GradSampleHooks


@ENGINES.register("opacus")
def opacus(
    module: nn.Module, inputs: tuple[Tensor, ...], loss: LossFunction, *, max_norm: float
) -> tuple[dict[str, Tensor], Tensor]:
    """Instantiate every per-sample gradient (N times the parameters in memory), then clip and sum."""
    if isinstance(module, Differentiating):
        raise UsageError(
            "privacy.clipping_engine = 'opacus' cannot clip a penalty on gradients (loss.penalty): its hooks see one "
            "derivative of each layer; use 'book_keeping'"
        )
    parameters = trainable(module)
    gradients = _per_sample_gradients(module, parameters, inputs, loss)  # each (N, parameter.numel())
    norms = torch.stack([gradient.norm(dim=1) for gradient in gradients.values()]).norm(dim=0)  # (N,)
    factors = clip_factors(norms, max_norm)
    broken = ~torch.isfinite(norms)
    if broken.any():  # 0 * inf is NaN: such rows must be zero before they are summed
        for gradient in gradients.values():
            gradient[broken] = 0
    sums = {name: torch.zeros_like(parameter).detach() for name, parameter in parameters.items()}
    sums |= {name: (factors @ gradient).view_as(parameters[name]) for name, gradient in gradients.items()}
    return sums, norms


def _per_sample_gradients(
    module: nn.Module, parameters: dict[str, nn.Parameter], inputs: tuple[Tensor, ...], loss: LossFunction
) -> dict[str, Tensor]:
    hooks = _attach(module)
    try:
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Full backward hook is firing")  # inputs need no gradient
            total = sample_losses(module, inputs, loss).sum()
            # Unlike backward(), this leaves every .grad as it was.
            torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
        found: dict[str, Tensor | None] = {name: vars(value)["grad_sample"] for name, value in parameters.items()}
    finally:
        hooks.cleanup()
        for layer in module.modules():
            for leftover in ("activations", "max_batch_len"):
                if hasattr(layer, leftover):
                    delattr(layer, leftover)
    return {name: gradient.flatten(start_dim=1) for name, gradient in found.items() if gradient is not None}


def _attach(module: nn.Module) -> GradSampleHooks:
    from opacus.grad_sample import GradSampleHooks  # takes 2 s to load, which every vault and server would pay

    try:
        return GradSampleHooks(module, loss_reduction="sum", strict=True)
    except NotImplementedError as error:
        raise UsageError(
            f"privacy.clipping_engine = 'opacus' cannot handle this model, as a trainable layer holds buffers: {error}"
        ) from error
