"""On a GPU: discriminators of full size give the sums and norms that float64 on the CPU gives."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from fedgan.models import build_discriminator
from fedgan.privacy.clipping import ENGINES, clipped_gradient_sum
from fedgan.privacy.gradient import PrivateGradient
from fedgan.privacy.noise import SeededNoise

pytestmark = [pytest.mark.privacy, pytest.mark.gpu]

ROWS = 32
TOLERANCES = {"book_keeping": 1e-5, "opacus": 3e-5}  # Opacus' norms of the MLP are 1.1e-5 off on a CPU, too


def discriminator(name: str) -> nn.Module:
    return build_discriminator(name, num_classes=10, image_shape=(1, 28, 28), width=0, seed=0)


def batch(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    images = torch.rand(ROWS, 1, 28, 28, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    return images.to(dtype), torch.arange(ROWS) % 10


def loss(logits: Tensor) -> Tensor:
    real, fake = logits.chunk(2)
    return torch.cat([softplus(-real), softplus(fake)])


def flat(sums: dict[str, Tensor]) -> Tensor:
    return torch.cat([value.cpu().double().flatten() for value in sums.values()])


def cuda(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(part.to("cuda") for part in inputs)


@pytest.mark.parametrize("engine", ENGINES.names())
@pytest.mark.parametrize("name", ["mlp", "dcgan", "resnet"])
def test_sums_and_norms_are_those_of_float64(name: str, engine: str) -> None:
    """Red where a GPU's convolutions round their operands: the error is then some 1e-3."""
    module = discriminator(name)
    exact = deepcopy(module).double()
    _, norms = clipped_gradient_sum(exact, batch(torch.float64), loss, max_norm=1.0)
    clip = float(norms.median())
    expected, _ = clipped_gradient_sum(exact, batch(torch.float64), loss, max_norm=clip)
    found, same = clipped_gradient_sum(module.to("cuda"), cuda(batch()), loss, max_norm=clip, engine=engine)
    assert float((same.cpu() / norms - 1).abs().max()) <= TOLERANCES[engine]
    assert float((flat(found) - flat(expected)).norm() / flat(expected).norm()) <= TOLERANCES[engine]


@pytest.mark.parametrize("name", ["mlp", "dcgan", "resnet"])
def test_one_row_changes_the_sum_by_the_clip_and_no_more(name: str) -> None:
    module, (images, labels) = discriminator(name).to("cuda"), cuda(batch())

    def alike(logits: Tensor) -> Tensor:  # that of a row does not follow its place
        return softplus(-logits)

    _, norms = clipped_gradient_sum(module, (images, labels), alike, max_norm=1.0)
    clip = float(norms.min()) / 2
    whole, _ = clipped_gradient_sum(module, (images, labels), alike, max_norm=clip)
    for row in range(0, ROWS, 8):
        kept = [other for other in range(ROWS) if other != row]
        part, _ = clipped_gradient_sum(module, (images[kept], labels[kept]), alike, max_norm=clip)
        assert float((flat(whole) - flat(part)).norm()) == pytest.approx(clip, rel=1e-4)


def test_noise_is_that_of_the_cpu_and_the_gradient_stays_on_the_gpu() -> None:
    module = discriminator("dcgan")
    on_cpu = PrivateGradient(1.0, 1.5, 20.0, SeededNoise(0))(module, batch(), loss)
    on_gpu = PrivateGradient(1.0, 1.5, 20.0, SeededNoise(0))(module.to("cuda"), cuda(batch()), loss)
    assert {value.device.type for value in on_gpu.values()} == {"cuda"}
    torch.testing.assert_close(flat(on_gpu), flat(on_cpu), rtol=1e-4, atol=1e-6)


def test_a_logical_batch_of_8192_rows_fits_in_2_gib() -> None:
    module = discriminator("dcgan").to("cuda")
    images = torch.rand(8192, 1, 28, 28, device="cuda") * 2 - 1
    labels = torch.arange(8192, device="cuda") % 10
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    clipped_gradient_sum(module, (images, labels), loss, max_norm=1.0, microbatch=256)
    assert torch.cuda.max_memory_allocated() - before < 2 * 2**30
