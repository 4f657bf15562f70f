"""The contract of every clipping engine and the door through which they are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from fedgan.errors import UsageError
from fedgan.privacy.clipping.equal_sizes import in_equal_sizes
from fedgan.privacy.clipping.full_precision import full_precision
from fedgan.privacy.clipping.microbatches import in_microbatches
from fedgan.privacy.clipping.probe import without_rule
from fedgan.registry import Registry

LossFunction = Callable[[Tensor], Tensor]
"""Maps the output of a module for N samples to N losses, the i-th of which depends on the i-th output only."""


class Differentiating(nn.Module):
    """A module whose per-sample gradients are taken as a whole, by `torch.func`: no rule by layers fits it.

    Its forward pass differentiates itself, say, to put out how steep its logits are; or its layers see several rows of
    one sample.
    """


class ClippingEngine(Protocol):
    """One way to compute `clipped_gradient_sum`; N is at least 1 and the module is known not to mix samples."""

    def __call__(
        self, module: nn.Module, inputs: tuple[Tensor, ...], loss: LossFunction, *, max_norm: float
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return (sums, norms) as `clipped_gradient_sum` does."""
        ...


ENGINES: Registry[ClippingEngine] = Registry("privacy.clipping_engine", "fedgan.privacy.clipping.engines")


def clipped_gradient_sum(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    loss: LossFunction,
    *,
    max_norm: float,
    engine: str = "book_keeping",
    microbatch: int | None = None,
) -> tuple[dict[str, Tensor], Tensor]:
    """Return the sum over samples of per-sample gradients, each clipped to `max_norm`, and the norms before clipping.

    Gradient g_i of sample i over all trainable parameters together enters as g_i * min(1, max_norm / ||g_i||)
    (Abadi et al. 2016, arXiv:1607.00133, algorithm 1). A gradient that is not finite enters as zero, so that no single
    sample can change the sum by more than `max_norm` in L2.

    Args:
        module: in training mode; its `.grad` fields and hooks are left as they were, and so are buffers that its own
            forward pass does not move (spectral norm's does).
        inputs: arguments of `module`, each with the batch of N samples first; N = 0 is allowed.
        loss: maps the output of `module` to losses of shape (N,).
        max_norm: the bound C > 0 on a sample's gradient.
        engine: a name in `ENGINES`.
        microbatch: samples to work on at a time, so that memory does not grow with N; None for all at once.

    Returns:
        sums: for each trainable parameter, by name, a tensor of its shape (zeros where N = 0 or it was not used).
        norms: (N,) L2 norms before clipping, inf or NaN where the gradient was not finite.

    Raises:
        UsageError: `module` mixes the samples of a batch, by the type of a layer or as a try on made-up rows shows, or
            keeps something of them in a buffer, or the engine is unknown.
        ValueError: `max_norm` or `microbatch` is not positive, `module` is in evaluation mode, `loss` does not
            return (N,), or autocast is on, which would round norms and sums; a module may turn it on for itself.
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm must be positive, not {max_norm!r}")
    if not module.training:
        raise ValueError("per-sample gradients need the module in training mode")
    if torch.is_autocast_enabled(inputs[0].device.type):
        raise ValueError("per-sample gradients are not taken under autocast: turn it on inside the module's forward")
    compute = ENGINES[engine]
    if inputs[0].is_cuda:
        compute = in_equal_sizes(compute)
    if microbatch is not None:
        compute = in_microbatches(compute, microbatch)
    refuse_mixing(module)
    with full_precision():
        differentiating = isinstance(module, Differentiating)
        without_rule(module, inputs, trainable(module), differentiating=differentiating)  # refuses what mixes samples
    if inputs[0].shape[0] == 0:
        return _empty(module, inputs[0].device)
    with full_precision():
        return compute(module, inputs, loss, max_norm=max_norm)


def refuse_mixing(module: nn.Module) -> None:
    """Raise UsageError if `module` holds a layer through which one sample influences another's output."""
    for name, layer in module.named_modules():
        running = isinstance(layer, _InstanceNorm) and layer.track_running_stats
        if isinstance(layer, _BatchNorm) or running:
            raise UsageError(
                f"layer {name or 'itself'!r} of the model ({type(layer).__name__}) mixes the samples of a batch, "
                "so no sample's influence can be bounded: use GroupNorm or LayerNorm in its place (model.name)"
            )


def sample_losses(module: nn.Module, inputs: tuple[Tensor, ...], loss: LossFunction) -> Tensor:
    """Return the losses (N,) of one forward pass; raises ValueError where `loss` returns another shape."""
    losses = loss(module(*inputs))
    if losses.shape != (inputs[0].shape[0],):
        raise ValueError(f"loss must return shape ({inputs[0].shape[0]},), one a sample, not {tuple(losses.shape)}")
    return losses


def clip_factors(norms: Tensor, max_norm: float) -> Tensor:
    """Return the factors min(1, max_norm / norm), shape (N,), and 0 where a norm is not finite."""
    factors = max_norm / norms.clamp(min=max_norm)
    return torch.where(torch.isfinite(norms), factors, torch.zeros_like(factors))


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters of `module` that require a gradient, by name, each once."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def _empty(module: nn.Module, device: torch.device) -> tuple[dict[str, Tensor], Tensor]:
    sums = {name: torch.zeros_like(parameter) for name, parameter in trainable(module).items()}
    return {name: total.detach() for name, total in sums.items()}, torch.zeros(0, device=device)
