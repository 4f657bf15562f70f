"""Per-sample gradients of any module by `torch.func`: the slow way that needs no rules."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from fedgan.errors import UsageError
from fedgan.privacy.clipping.engine import LossFunction, clip_factors, trainable
from fedgan.privacy.clipping.layers.contribution import Instantiated, row_chunks, square_sums
from fedgan.privacy.clipping.microbatches import loss_of_row

LEAST_ROWS = 16
"""Samples at a time, whatever the size of the model: a fourth as many take twice as long, measured on a CPU."""


def functional_gradient_sum(
    module: nn.Module, inputs: tuple[Tensor, ...], loss: LossFunction, *, max_norm: float
) -> tuple[dict[str, Tensor], Tensor]:
    """Do what `fedgan.privacy.clipping.engine.ClippingEngine` says, some samples at a time.

    Raises:
        UsageError: the module computes something that `torch.func` cannot take sample by sample.
    """
    parameters, rows = trainable(module), len(inputs[0])
    sums = {name: torch.zeros_like(parameter).detach() for name, parameter in parameters.items()}
    norms, weights = [], sum(parameter.numel() for parameter in parameters.values())
    for chunk in row_chunks(rows, weights, inputs[0].device, least=LEAST_ROWS):
        gradients = _per_sample(module, parameters, inputs, loss, range(rows)[chunk])
        norms.append(torch.stack([square_sums(gradient) for gradient in gradients.values()]).sum(dim=0).sqrt())
        factors = clip_factors(norms[-1], max_norm)
        kept = factors.nonzero().squeeze(1)  # 0 * inf is NaN, so samples of factor 0 are left out
        if len(kept) < len(factors):
            factors = factors[kept]
            gradients = {name: gradient[kept] for name, gradient in gradients.items()}
        for name, gradient in gradients.items():
            sums[name] += Instantiated(gradient).weighted_sum(factors)
    return sums, torch.cat(norms)


def _per_sample(
    module: nn.Module,
    parameters: dict[str, nn.Parameter],
    inputs: tuple[Tensor, ...],
    loss: LossFunction,
    rows: range,
) -> dict[str, Tensor]:
    def sample_loss(values: dict[str, Tensor], row: Tensor, *sample: Tensor) -> Tensor:
        output = functional_call(module, values, tuple(part.unsqueeze(0) for part in sample))
        return loss_of_row(loss, output, row, len(inputs[0]))

    values = {name: parameter.detach() for name, parameter in parameters.items()}
    numbers = torch.arange(rows.start, rows.stop, device=inputs[0].device)
    samples = tuple(part[rows.start : rows.stop] for part in inputs)
    in_dims = (None, 0, *[0] * len(inputs))
    try:
        found: dict[str, Tensor] = vmap(grad(sample_loss), in_dims, randomness="different")(values, numbers, *samples)
    except RuntimeError as error:
        raise UsageError(
            f"no per-sample gradients of this model ({type(module).__name__}) can be had with privacy.clipping_engine "
            f"= 'book_keeping': {error}"
        ) from error
    return found
