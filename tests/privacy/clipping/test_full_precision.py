"""Clipping computes in float32 whatever a program allows: else norms do not bound what is summed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.backends import mkldnn

from fedgan.privacy.clipping import ENGINES, clipped_gradient_sum
from fedgan.privacy.clipping.full_precision import OPERATIONS, full_precision

pytestmark = pytest.mark.privacy


class Witness(nn.Module):
    """Notes how exact torch may be while it runs."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.score = nn.Linear(4, 1)
        self.fails = fails
        self.seen: set[str] = set()

    def forward(self, images: Tensor) -> Tensor:
        self.seen |= {*allowed()}
        if self.fails:
            raise RuntimeError("planted")
        return self.score(images).squeeze(1)


def allowed() -> list[str]:
    return [getattr(backend, operation).fp32_precision for backend, operation in OPERATIONS]


@pytest.fixture
def rounded() -> Iterator[list[str]]:
    """A program that lets torch round operands, as it does by default in a GPU's convolutions."""
    before = allowed()
    for backend, operation in OPERATIONS:
        getattr(backend, operation).fp32_precision = "tf32" if backend is not mkldnn else "bf16"
    yield allowed()
    for (backend, operation), precision in zip(OPERATIONS, before, strict=True):
        getattr(backend, operation).fp32_precision = precision


@pytest.mark.parametrize("engine", ENGINES.names())
def test_no_engine_computes_in_less_than_float32(engine: str, rounded: list[str]) -> None:
    module = Witness()
    clipped_gradient_sum(module, (torch.ones(3, 4),), Tensor.square, max_norm=1.0, engine=engine)
    assert module.seen == {"ieee"}
    assert allowed() == rounded


def test_what_the_program_allows_is_back_after_an_error(rounded: list[str]) -> None:
    with pytest.raises(RuntimeError, match="planted"):
        clipped_gradient_sum(Witness(fails=True), (torch.ones(3, 4),), Tensor.square, max_norm=1.0)
    assert allowed() == rounded


def test_blocks_that_overlap_are_exact_until_the_last_ends(rounded: list[str]) -> None:
    first, second = full_precision(), full_precision()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert set(allowed()) == {"ieee"}
    second.__exit__(None, None, None)
    assert allowed() == rounded
