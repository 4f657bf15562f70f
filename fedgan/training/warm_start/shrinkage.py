"""What is left of noisy estimates once the noise, whose deviation is public, is taken out: post-processing."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor


def kept_share(estimate: Tensor, noise: Tensor, freedom: int) -> Tensor:
    """Return the positive-part James-Stein factor in [0, 1] of each estimate that is shrunk towards 0.

    Efron and Morris 1973, "Stein's estimation rule and its competitors".

    Args:
        estimate: (N, ...), for a symmetric matrix in full.
        noise: standard deviation of the noise in each free coordinate, (N,).
        freedom: number of free coordinates; a matrix's off-diagonal ones, met twice, have noise of half the variance.
    """
    squares = estimate.flatten(1).square().sum(1).clamp(min=torch.finfo(estimate.dtype).tiny)
    return (1.0 - freedom * noise.square() / squares).clamp(min=0.0)


def clean_spectrum(matrix: Tensor, noise: float) -> tuple[Tensor, Tensor]:
    """Return eigenvalues (D,) falling, noise taken out, and eigenvectors (D, D) as rows of a noisy covariance.

    Symmetric noise of deviation s on the diagonal and s/sqrt(2) beside it has a spectrum of radius 2 t with
    t = s sqrt(D/2), and lifts an eigenvalue w > t to w + t^2/w (Benaych-Georges and Nadakuditi 2011, arXiv:0910.2120,
    theorem 2.1). That is undone where the eigenvalue sticks out; the others become 0.

    Args:
        matrix: symmetric, (D, D) float64.
        noise: s above; 0 leaves the positive eigenvalues as they are.
    """
    values, vectors = torch.linalg.eigh(matrix)
    edge = noise * sqrt(len(matrix) / 2)
    root = (values.square() - 4 * edge**2).clamp(min=0.0).sqrt()
    clean = torch.where(values > 2 * edge, (values + root) / 2, torch.zeros_like(values))
    return clean.flip(0), vectors.t().flip(0)
