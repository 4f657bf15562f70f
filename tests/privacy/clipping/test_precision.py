"""Forward passes in bfloat16: what is reported and what is bounded is what is summed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from fedgan.models import build_discriminator
from fedgan.privacy.clipping import clipped_gradient_sum
from fedgan.training.critic import ClassifyingCritic, PenalisedCritic, ReducedPrecision

pytestmark = pytest.mark.privacy

TOLERANCE = 1e-3
ROWS = 6
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
Build = Callable[[], nn.Module]


class TwoScores(nn.Module):
    """Layers of several kinds, one of them used twice, and one parameter without a rule."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 64)
        self.gain = nn.Parameter(torch.tensor(0.7))
        self.last = nn.Linear(64, 1)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return self.last(self.first(self.first(images.flatten(1)).tanh()) * self.gain).squeeze(1)


def discriminator(name: str, *, auxiliary: bool = False) -> nn.Module:
    return build_discriminator(name, num_classes=4, image_shape=(1, 8, 8), width=32, seed=0, auxiliary=auxiliary)


MODULES: dict[str, Build] = {
    "mlp": lambda: ReducedPrecision(discriminator("mlp")),
    "dcgan": lambda: ReducedPrecision(discriminator("dcgan")),
    "resnet": lambda: ReducedPrecision(discriminator("resnet")),
    "without rules": lambda: ReducedPrecision(TwoScores()),
    "penalised": lambda: PenalisedCritic(ReducedPrecision(discriminator("dcgan"))),
    "classifying": lambda: ReducedPrecision(ClassifyingCritic(discriminator("dcgan", auxiliary=True))),
}


def loss(output: Tensor) -> Tensor:
    logits = output if output.dim() == 1 else output.sum(dim=1)
    return 100 * softplus(-logits)


def batch(rows: int, device: str) -> tuple[Tensor, Tensor]:
    images = torch.randn(rows, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return images.to(device), (torch.arange(rows) % 4).to(device)


def flat(sums: dict[str, Tensor]) -> Tensor:
    assert {value.dtype for value in sums.values()} == {torch.float32}
    return torch.cat([value.flatten() for value in sums.values()]).double()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", MODULES)
def test_norms_are_those_of_what_is_summed(name: str, device: str) -> None:
    module, (images, labels) = MODULES[name]().to(device), batch(ROWS, device)
    for row in range(ROWS):
        single = (images[row : row + 1], labels[row : row + 1])
        whole, norms = clipped_gradient_sum(module, single, loss, max_norm=1e9)
        assert float(flat(whole).norm()) == pytest.approx(float(norms), rel=TOLERANCE)
        clip = float(norms) / 3
        clipped, same = clipped_gradient_sum(module, single, loss, max_norm=clip)
        assert float(same) == float(norms)
        assert float(flat(clipped).norm()) == pytest.approx(clip, rel=TOLERANCE)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", MODULES)
def test_one_row_changes_the_sum_by_at_most_the_clip(name: str, device: str) -> None:
    module, (images, labels) = MODULES[name]().to(device), batch(ROWS, device)
    whole, norms = clipped_gradient_sum(module, (images, labels), loss, max_norm=1.0)
    assert bool((norms > 1).all())
    for row in range(ROWS):
        kept = [other for other in range(ROWS) if other != row]
        part, _ = clipped_gradient_sum(module, (images[kept], labels[kept]), loss, max_norm=1.0)
        assert float((flat(whole) - flat(part)).norm()) == pytest.approx(1.0, rel=TOLERANCE)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", MODULES)
def test_the_precision_is_reduced_and_the_gradient_near_the_exact_one(name: str, device: str) -> None:
    reduced, inputs = MODULES[name]().to(device), batch(ROWS, device)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "autocast", lambda *args, **kwargs: torch.enable_grad())
        exact, _ = clipped_gradient_sum(reduced, inputs, loss, max_norm=1.0)
    found, _ = clipped_gradient_sum(reduced, inputs, loss, max_norm=1.0)
    error = float((flat(found) - flat(exact)).norm() / flat(exact).norm())
    assert 1e-4 < error < 0.05


def test_autocast_around_the_call_is_an_error() -> None:
    module, inputs = discriminator("mlp"), batch(2, "cpu")
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(ValueError, match="autocast"):
        clipped_gradient_sum(module, inputs, loss, max_norm=1.0)
