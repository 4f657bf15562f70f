"""The clipped sum against one-sample backward passes, and what it leaves behind: nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from fedgan.errors import UsageError
from fedgan.privacy.clipping import ENGINES, clipped_gradient_sum

pytestmark = pytest.mark.privacy

Inputs = tuple[Tensor, Tensor]


class Critic(nn.Module):
    """Every kind of layer that discriminators here use, and one parameter that the output does not depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(2, 4)
        self.linear = nn.Linear(4 * 4 * 4, 8)
        self.output = nn.Linear(8, 1)
        self.classes = nn.Embedding(3, 8)
        self.unused = nn.Linear(2, 2)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        features = softplus(self.linear(self.norm(self.conv(images)).relu().flatten(1)))
        return self.output(features).squeeze(1) + (features * self.classes(labels)).sum(dim=1)


def critic(dtype: torch.dtype = torch.float64) -> Critic:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Critic().to(dtype)


def batch(size: int, dtype: torch.dtype = torch.float64) -> Inputs:
    rng = torch.Generator().manual_seed(size)
    images = torch.randn(size, 1, 8, 8, generator=rng, dtype=dtype)
    return images * torch.logspace(-1, 1, size, dtype=dtype).reshape(-1, 1, 1, 1), torch.arange(size) % 3


def loss(logits: Tensor) -> Tensor:
    return softplus(-logits)


def per_sample(module: nn.Module, inputs: Inputs) -> list[dict[str, Tensor]]:
    names = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
    rows = []
    for i in range(len(inputs[0])):
        value = loss(module(inputs[0][i : i + 1], inputs[1][i : i + 1])).sum()
        parameters = [module.get_parameter(name) for name in names]
        gradients = torch.autograd.grad(value, parameters, allow_unused=True, materialize_grads=True)
        rows.append(dict(zip(names, gradients, strict=True)))
    return rows


def total_norm(gradients: dict[str, Tensor]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients.values()]).norm()


@pytest.mark.parametrize("engine", ENGINES.names())
@pytest.mark.parametrize("size", [0, 1, 2, 9])
@pytest.mark.parametrize("max_norm", [0.05, 1.0, 1e6])
def test_equals_a_loop_over_single_samples(engine: str, size: int, max_norm: float) -> None:
    module, inputs = critic(), batch(size)
    sums, norms = clipped_gradient_sum(module, inputs, loss, max_norm=max_norm, engine=engine)
    rows = per_sample(module, inputs)
    assert norms.shape == (size,)
    torch.testing.assert_close(norms, torch.stack([*map(total_norm, rows)]) if rows else norms, rtol=1e-10, atol=1e-12)
    assert list(sums) == [name for name, _ in module.named_parameters()]
    for name, total in sums.items():
        clipped = [row[name] * min(1.0, max_norm / float(total_norm(row))) for row in rows]
        expected = torch.stack(clipped).sum(dim=0) if rows else torch.zeros_like(module.get_parameter(name))
        torch.testing.assert_close(total, expected, rtol=1e-10, atol=1e-12)
        assert not total.requires_grad


@pytest.mark.parametrize("engine", ENGINES.names())
def test_one_sample_changes_the_sum_by_at_most_the_clip(engine: str) -> None:
    module, inputs = critic(torch.float32), batch(12, torch.float32)
    whole, norms = clipped_gradient_sum(module, inputs, loss, max_norm=0.3, engine=engine)
    assert int((norms > 0.3).sum()) >= 6  # the bound is at work
    for i in range(12):
        others = [j for j in range(12) if j != i]
        part, _ = clipped_gradient_sum(
            module, (inputs[0][others], inputs[1][others]), loss, max_norm=0.3, engine=engine
        )
        change = total_norm({name: whole[name] - part[name] for name in whole})
        assert float(change) <= 0.3 * (1 + 1e-4)
        assert float(change) >= min(0.3, float(norms[i])) * (1 - 1e-4)


@pytest.mark.parametrize("engine", ENGINES.names())
@pytest.mark.parametrize("poison", [float("inf"), float("nan"), 1e30])
def test_a_sample_without_a_finite_gradient_is_left_out(engine: str, poison: float) -> None:
    module, inputs = critic(torch.float32), batch(5, torch.float32)
    inputs[0][2] = poison
    sums, norms = clipped_gradient_sum(module, inputs, loss, max_norm=1.0, engine=engine)
    kept = [0, 1, 3, 4]
    expected, _ = clipped_gradient_sum(module, (inputs[0][kept], inputs[1][kept]), loss, max_norm=1.0, engine=engine)
    assert bool(torch.isfinite(norms[kept]).all())
    for name in sums:
        change = sums[name] - expected[name]
        assert bool(torch.isfinite(change).all())
    assert float(total_norm({name: sums[name] - expected[name] for name in sums})) <= 1.0 + 1e-4


@pytest.mark.parametrize("engine", ENGINES.names())
def test_leaves_no_trace(engine: str) -> None:
    module, inputs = critic(), batch(4)
    module.conv.weight.grad = torch.ones_like(module.conv.weight)
    before = {name: set(vars(layer)) for name, layer in module.named_modules()}
    clipped_gradient_sum(module, inputs, loss, max_norm=1.0, engine=engine)
    torch.autograd.grad(loss(module(*inputs)).sum(), [module.conv.weight])  # as in a generator step
    assert torch.equal(module.conv.weight.grad, torch.ones_like(module.conv.weight))
    assert {name: set(vars(layer)) for name, layer in module.named_modules()} == before
    for parameter in module.parameters():
        assert vars(parameter) == {}
        assert parameter is module.conv.weight or parameter.grad is None
    for layer in module.modules():
        assert not layer._forward_hooks
        assert not layer._backward_hooks


@pytest.mark.parametrize("engine", ENGINES.names())
def test_leaves_no_trace_after_an_error(engine: str) -> None:
    module, inputs = critic(), batch(4)
    with pytest.raises(ValueError, match=r"\(4,\)"):
        clipped_gradient_sum(module, inputs, lambda logits: loss(logits).mean(), max_norm=1.0, engine=engine)
    assert all(not layer._forward_hooks and "activations" not in vars(layer) for layer in module.modules())
    assert all(vars(parameter) == {} for parameter in module.parameters())


@pytest.mark.parametrize("engine", ENGINES.names())
def test_frozen_parameters_have_no_part(engine: str) -> None:
    module, inputs = critic(), batch(3)
    module.classes.weight.requires_grad_(False)
    sums, norms = clipped_gradient_sum(module, inputs, loss, max_norm=1e6, engine=engine)
    assert "classes.weight" not in sums
    torch.testing.assert_close(norms, torch.stack([total_norm(row) for row in per_sample(module, inputs)]))


@pytest.mark.parametrize("size", [0, 3])
@pytest.mark.parametrize(
    "layer", [nn.BatchNorm2d(1), nn.SyncBatchNorm(1), nn.InstanceNorm2d(1, track_running_stats=True)]
)
def test_layers_that_mix_samples_are_refused(layer: nn.Module, size: int) -> None:
    module = nn.Sequential(layer, nn.Flatten(), nn.Linear(64, 1), nn.Flatten(0))
    with pytest.raises(UsageError, match=f"'0'.*{type(layer).__name__}.*GroupNorm"):
        clipped_gradient_sum(module, (torch.randn(size, 1, 8, 8),), loss, max_norm=1.0)


def test_wrong_calls_are_refused() -> None:
    module, inputs = critic(), batch(3)
    with pytest.raises(ValueError, match="max_norm"):
        clipped_gradient_sum(module, inputs, loss, max_norm=0.0)
    with pytest.raises(ValueError, match="training mode"):
        clipped_gradient_sum(module.eval(), inputs, loss, max_norm=1.0)
    with pytest.raises(UsageError, match=r"privacy\.clipping_engine.*opacus"):
        clipped_gradient_sum(module.train(), inputs, loss, max_norm=1.0, engine="opakus")
