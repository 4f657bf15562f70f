"""Estimates are moved by what the noise explains, and no further."""

from __future__ import annotations

import pytest
import torch

from fedgan.training.warm_start.shrinkage import clean_spectrum, kept_share


def symmetric_noise(size: int, std: float, rng: torch.Generator) -> torch.Tensor:
    draws = torch.randn(size, size, generator=rng, dtype=torch.float64) * std
    upper = draws.triu(1) / 2**0.5
    return draws.diag().diag() + upper + upper.t()


def test_without_noise_nothing_is_shrunk() -> None:
    rng = torch.Generator().manual_seed(0)
    root = torch.randn(6, 6, generator=rng, dtype=torch.float64)
    values, vectors = clean_spectrum(root @ root.t(), 0.0)
    assert (values.diff() <= 0).all()
    torch.testing.assert_close(vectors.t() * values @ vectors, root @ root.t())
    assert torch.equal(kept_share(root[None], torch.zeros(1, dtype=torch.float64), 36), torch.ones(1).double())


def test_what_noise_alone_explains_is_dropped() -> None:
    rng = torch.Generator().manual_seed(1)
    noise = torch.stack([symmetric_noise(40, 0.3, rng) for _ in range(10)])
    kept = kept_share(noise, torch.full((10,), 0.3, dtype=torch.float64), 40 * 41 // 2)
    assert 0 <= float(kept.min()) <= float(kept.mean()) < 0.05
    values, _ = clean_spectrum(noise[0], 0.36)  # a margin of a fifth, as the edge is one of large matrices
    assert float(values.max()) == 0.0


@pytest.mark.parametrize("true", [2.0, 4.0])
def test_an_eigenvalue_that_stands_out_is_found_again(true: float) -> None:
    rng = torch.Generator().manual_seed(2)
    raw, clean = [], []
    for _ in range(20):  # one draw moves it by 0.1
        direction = torch.nn.functional.normalize(torch.randn(100, generator=rng, dtype=torch.float64), dim=0)
        matrix = true * torch.outer(direction, direction) + symmetric_noise(100, 0.1, rng)
        raw.append(float(torch.linalg.eigvalsh(matrix).max()))
        values, vectors = clean_spectrum(matrix, 0.1)
        clean.append(float(values[0]))
        assert abs(float(vectors[0] @ direction)) > 0.8
    assert sum(raw) / 20 - true == pytest.approx(0.5 / true, abs=0.08)  # 2 t = 1.41, t^2 = 0.5
    assert sum(clean) / 20 == pytest.approx(true, abs=0.08)
