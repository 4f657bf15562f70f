"""The gradient of one discriminator step, with and without differential privacy, behind one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from fedgan.privacy.clipping import LossFunction, clipped_gradient_sum
from fedgan.privacy.clipping.microbatches import loss_of_slice
from fedgan.privacy.noise import NoiseSource, add_noise_to_all


class Gradient(Protocol):
    """Computes the gradient that an optimiser applies, from a batch of per-sample losses."""

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], loss: LossFunction) -> dict[str, Tensor]:
        """Return a tensor for each trainable parameter of `module`, by name; `.grad` is left as it was."""
        ...


@dataclass(frozen=True)
class PlainGradient:
    """The gradient of the mean loss, without any privacy.

    Args:
        expected_rows: what the sum over the batch is divided by; None for the batch's own number of rows.
        microbatch: rows to work on at a time, so that memory does not grow with the batch; 0 for all at once.
    """

    expected_rows: float | None = None
    microbatch: int = 0

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], loss: LossFunction) -> dict[str, Tensor]:
        """Return the gradient; zeros where the batch is empty or a parameter unused."""
        parameters = {name: value for name, value in module.named_parameters() if value.requires_grad}
        if inputs[0].shape[0] == 0:
            return {name: torch.zeros_like(value).detach() for name, value in parameters.items()}
        rows = len(inputs[0])
        divisor = rows if self.expected_rows is None else self.expected_rows
        totals: list[Tensor] = []
        for start in range(0, rows, self.microbatch or rows):
            part = tuple(values[start : start + (self.microbatch or rows)] for values in inputs)
            share = loss_of_slice(loss, start, rows)(module(*part)).sum() / divisor
            found = torch.autograd.grad(share, list(parameters.values()), allow_unused=True, materialize_grads=True)
            totals = [total + value for total, value in zip(totals, found, strict=True)] if totals else [*found]
        return dict(zip(parameters, totals, strict=True))


@dataclass(frozen=True)
class PrivateGradient:
    """The Gaussian mechanism on the clipped gradient sum: (sum_i clip(g_i) + N(0, (z C)^2 I)) / expected_rows.

    Source: Abadi et al. 2016, arXiv:1607.00133, algorithm 1.

    Guarantee: adding or removing one sample is a Gaussian mechanism of noise multiplier z; under Poisson sampling with
    probability q it is the event PoissonSampled(q, Gaussian(z)).
    Assumes: `loss` keeps samples apart; the i-th loss depends on no other sample and not on the size of the batch.

    Args:
        clip: the bound C > 0 on the L2 norm of one sample's gradient.
        noise_multiplier: z >= 0, the standard deviation of the noise in units of `clip`.
        expected_rows: the expected number of rows of a batch, fixed in advance. The realised number is private.
        noise: where the noise comes from.
        engine: a name in `fedgan.privacy.clipping.ENGINES`.
        microbatch: rows to work on at a time, so that memory does not grow with the batch; 0 for all at once.
    """

    clip: float
    noise_multiplier: float
    expected_rows: float
    noise: NoiseSource
    engine: str = "book_keeping"
    microbatch: int = 0

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], loss: LossFunction) -> dict[str, Tensor]:
        """Return the private gradient of every trainable parameter; an empty batch gets its noise like any other."""
        sums, _ = clipped_gradient_sum(
            module, inputs, loss, max_norm=self.clip, engine=self.engine, microbatch=self.microbatch or None
        )
        noisy = add_noise_to_all(sums, self.noise_multiplier * self.clip, self.noise)
        return {name: total / self.expected_rows for name, total in noisy.items()}
