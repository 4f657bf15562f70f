"""The per-sample gradients of a whole module, put together from what each use of each parameter contributes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from fedgan.privacy.clipping.layers.contribution import Contribution, row_chunks, square_sums
from fedgan.privacy.clipping.recorder import leaves_behind

CANCELLATION = 0.02
"""Squared norms below this part of the terms that cancelled in them are computed anew, from the gradients."""


class SampleGradients:
    """Gradients of N samples over all parameters, none of which need be written out.

    Args:
        parameters: the trainable parameters by name.
        losses: (N,), of which these are the gradients.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], losses: Tensor) -> None:
        self._parameters = parameters
        self._losses = losses
        self._contributions: defaultdict[Tensor, list[Contribution]] = defaultdict(list)

    def add(self, weight: Tensor, contribution: Contribution) -> None:
        """Add what one use contributes to `weight`, a parameter or a differentiable function of parameters."""
        self._contributions[weight].append(contribution)

    def norms(self) -> Tensor:
        """Return the L2 norm of each sample's gradient, (N,)."""
        alone, entangled = self._separate()
        found = [contribution.squared_norms() for contribution in alone.values()]
        parts = [squares for squares, _ in found]
        if entangled:
            parts.append(self._squared_norms(entangled, torch.arange(len(self._losses), device=self._losses.device)))
        squares = torch.stack(parts).sum(dim=0) if parts else torch.zeros_like(self._losses)
        if scales := [scale for _, scale in found if scale is not None]:
            # A sample whose Gram matrices cancel must not hide a large gradient behind their rounding error.
            doubtful = (squares < CANCELLATION * torch.stack(scales).sum(dim=0)).nonzero().squeeze(1)
            if len(doubtful):
                squares[doubtful] = self._squared_norms(self._contributions, doubtful)
        return squares.sqrt()

    def weighted_sums(self, factors: Tensor) -> dict[str, Tensor]:
        """Return sum_i factors_i g_i for each parameter, by name; samples of factor 0 may hold any values."""
        sums: dict[int, Tensor] = {}
        kept = factors.nonzero().squeeze(1)
        everything, factors = len(kept) == len(factors), factors[kept]
        for weight, contributions in self._contributions.items() if len(kept) else ():
            for contribution in contributions:  # 0 * inf is NaN, so samples of factor 0 are left out
                total = (contribution if everything else contribution.select(kept)).weighted_sum(factors)
                for leaf, part in _pull_back(weight, total):
                    sums[id(leaf)] = sums[id(leaf)] + part if id(leaf) in sums else part
        return {
            name: sums[id(parameter)] if id(parameter) in sums else torch.zeros_like(parameter)
            for name, parameter in self._parameters.items()
        }

    def _separate(self) -> tuple[dict[Tensor, Contribution], dict[Tensor, list[Contribution]]]:
        """Return the contributions that are a parameter's only one, and the others."""
        origins = {weight: leaves_behind(weight) for weight in self._contributions}
        uses = Counter(
            id(leaf) for weight, leaves in origins.items() for leaf in leaves * len(self._contributions[weight])
        )
        alone = {
            weight: contributions[0]
            for weight, contributions in self._contributions.items()
            if weight.grad_fn is None and uses[id(weight)] == 1
        }
        return alone, {weight: parts for weight, parts in self._contributions.items() if weight not in alone}

    def _squared_norms(self, contributions: Mapping[Tensor, Sequence[Contribution]], rows: Tensor) -> Tensor:
        """Return the squared norms (N,) over the given weights of the samples `rows`, from their gradients."""
        elements = sum(leaf.numel() for weight in contributions for leaf in leaves_behind(weight))
        chunks = row_chunks(len(rows), elements, rows.device)
        return torch.cat([self._squares(contributions, rows[chunk]) for chunk in chunks])

    def _squares(self, contributions: Mapping[Tensor, Sequence[Contribution]], rows: Tensor) -> Tensor:
        totals: dict[int, Tensor] = {}
        for weight, parts in contributions.items():
            gradients = torch.stack([part.select(rows).instantiate() for part in parts]).sum(dim=0)
            for leaf, share in _pull_back(weight, gradients, batched=True):
                totals[id(leaf)] = totals[id(leaf)] + share if id(leaf) in totals else share
        return torch.stack([square_sums(total) for total in totals.values()]).sum(dim=0)


def _pull_back(weight: Tensor, gradient: Tensor, *, batched: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each parameter that `weight` is computed from (or is), with its gradient given that of `weight`."""
    if weight.grad_fn is None:
        yield weight, gradient
        return
    leaves = leaves_behind(weight)
    found = torch.autograd.grad(weight, leaves, gradient, retain_graph=True, is_grads_batched=batched)
    yield from zip(leaves, found, strict=True)
