"""Both engines give the same sums and norms for every shipped discriminator, with and without a second head."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from fedgan.models import build_discriminator
from fedgan.privacy.clipping import clipped_gradient_sum

pytestmark = pytest.mark.privacy


def losses(logits: Tensor) -> Tensor:
    return softplus(-logits)


@pytest.mark.parametrize("auxiliary", [False, True])
@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("name", ["mlp", "dcgan", "resnet", "mixture"])
def test_every_shipped_discriminator_has_one_clipped_sum(name: str, rows: int, auxiliary: bool) -> None:
    module = build_discriminator(
        name, num_classes=5, image_shape=(3, 16, 16), width=8, seed=1, auxiliary=auxiliary
    ).train()
    draw = torch.Generator().manual_seed(2)
    inputs = torch.rand(rows, 3, 16, 16, generator=draw) * 2 - 1, torch.arange(rows) % 5
    norms = clipped_gradient_sum(module, inputs, losses, max_norm=1.0, engine="opacus")[1]
    clip = float(norms.median())  # about half of the rows are clipped
    found, wanted = (
        clipped_gradient_sum(module, inputs, losses, max_norm=clip, engine=engine)
        for engine in ("book_keeping", "opacus")
    )
    torch.testing.assert_close(found[1], wanted[1], rtol=1e-5, atol=0)
    assert found[0].keys() == wanted[0].keys()
    for parameter, total in wanted[0].items():
        error = float((found[0][parameter] - total).norm())
        assert error <= 1e-5 * max(clip, float(total.norm())), parameter
