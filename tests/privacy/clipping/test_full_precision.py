"""Clipping computes in float32 whatever a program allows: else norms do not bound what is summed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from fedgan.privacy.clipping import ENGINES, clipped_gradient_sum

pytestmark = pytest.mark.privacy


class Witness(nn.Module):
    """Notes how exact torch may be while it runs."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.score = nn.Linear(4, 1)
        self.fails = fails
        self.seen: set[str] = set()

    def forward(self, images: Tensor) -> Tensor:
        self.seen |= {torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision}
        if self.fails:
            raise RuntimeError("planted")
        return self.score(images).squeeze(1)


@pytest.fixture
def rounded() -> Iterator[None]:
    """A program that lets torch round operands, as it does by default in a GPU's convolutions."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.usefixtures("rounded")
@pytest.mark.parametrize("engine", ENGINES.names())
def test_no_engine_computes_in_less_than_float32(engine: str) -> None:
    module = Witness()
    clipped_gradient_sum(module, (torch.ones(3, 4),), Tensor.square, max_norm=1.0, engine=engine)
    assert module.seen == {"ieee"}
    assert torch.get_float32_matmul_precision() == "high"


@pytest.mark.usefixtures("rounded")
def test_what_the_program_allows_is_back_after_an_error() -> None:
    with pytest.raises(RuntimeError, match="planted"):
        clipped_gradient_sum(Witness(fails=True), (torch.ones(3, 4),), Tensor.square, max_norm=1.0)
    assert torch.get_float32_matmul_precision() == "high"
