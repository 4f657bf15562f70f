"""Engine book_keeping against gradients of one sample at a time, on random networks of all layers that have a rule."""

from __future__ import annotations

from copy import deepcopy
from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from fedgan.privacy.clipping import clipped_gradient_sum
from fedgan.privacy.clipping.layers import correlation

pytestmark = pytest.mark.privacy

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
INSTANCE_NORMS = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
NORMS = (nn.GroupNorm, nn.LayerNorm, *INSTANCE_NORMS.values())
LARGEST = 600  # values in a feature map


class Labelled(nn.Module):
    """A random trunk whose features meet an embedding of each sample's tokens."""

    def __init__(self, trunk: nn.Module, features: int, tokens: nn.Embedding) -> None:
        super().__init__()
        self.trunk, self.tokens = trunk, tokens
        self.mix = nn.Linear(tokens.embedding_dim, 3)
        self.score = nn.Linear(features + 3, 1)

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        words = self.mix(self.tokens(tokens)).tanh().mean(dim=1)
        return self.score(torch.cat([self.trunk(images).flatten(1), words], dim=1)).squeeze(1)


@st.composite
def networks(draw: st.DrawFn) -> tuple[nn.Module, tuple[int, ...]]:
    """Return a network in float64 and the shape of one image."""
    dims = draw(st.sampled_from([1, 2, 2, 2, 3]))
    shape = (draw(st.sampled_from([1, 2, 4])), *draw(st.tuples(*[st.integers(3, {1: 12, 2: 7, 3: 4}[dims])] * dims)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(draw(st.integers(0, 2**16)))
        layers: list[nn.Module] = []
        current = shape
        for _ in range(draw(st.integers(1, 4))):
            layer = draw(_layers(dims, current))
            output = _output_shape(layer, current)
            ill_conditioned = isinstance(layer, NORMS) and any(isinstance(other, NORMS) for other in layers)
            if output is None or ill_conditioned:  # normalising twice amplifies the rounding of the forward pass
                continue
            layers.append(_decorate(layer, draw(st.sampled_from(["plain", "plain", "spectral", "weight"]))))
            if output == current and not isinstance(layer, NORMS) and draw(st.booleans()):
                layers += [nn.Tanh(), layers[-1]]  # a module used twice
            layers.append(draw(st.sampled_from([nn.Softplus(), nn.Tanh(), nn.SiLU(inplace=True)])))
            current = output
        tokens = nn.Embedding(4, 3, padding_idx=draw(st.sampled_from([None, 0, -1])))
        module = Labelled(nn.Sequential(*layers), prod(current), tokens)
    trainable = [*module.parameters()]
    frozen = draw(st.sets(st.integers(0, len(trainable) - 1), max_size=1))
    for number in frozen:
        trainable[number].requires_grad_(False)
    return module.double(), shape


@st.composite
def _layers(draw: st.DrawFn, dims: int, shape: tuple[int, ...]) -> nn.Module:
    channels, out = shape[0], draw(st.sampled_from([2, 4, 6]))
    kind = draw(st.sampled_from(["convolution", "convolution", "transposed", "group", "instance", "layer", "linear"]))
    if kind == "group":
        return _scramble(nn.GroupNorm(draw(st.sampled_from([1, channels])), channels))
    if kind == "instance":
        return _scramble(INSTANCE_NORMS[dims](channels, affine=True))
    if kind == "layer":
        return _scramble(nn.LayerNorm(shape[draw(st.integers(0, dims)) :]))
    if kind == "linear":
        return nn.Linear(shape[-1], draw(st.sampled_from([3, 5, 12])), bias=draw(st.booleans()))
    sizes = st.tuples(*[st.integers(1, 4)] * dims)
    strides = draw(st.tuples(*[st.integers(1, 3)] * dims))
    groups = draw(st.sampled_from([g for g in (1, 2, 4) if channels % g == 0 and out % g == 0]))
    dilation = draw(st.integers(1, 2))
    options = {"kernel_size": draw(sizes), "dilation": dilation, "groups": groups, "bias": draw(st.booleans())}
    if kind == "transposed":
        extra = tuple(draw(st.integers(0, max(stride, dilation) - 1)) for stride in strides)
        padding = draw(st.integers(0, 1))
        return TRANSPOSED[dims](channels, out, stride=strides, padding=padding, output_padding=extra, **options)
    mode = draw(st.sampled_from(["zeros", "zeros", "circular", "reflect", "replicate"]))
    if draw(st.booleans()) and mode == "zeros":
        return CONVOLUTIONS[dims](channels, draw(st.sampled_from([out, channels * groups])), padding="same", **options)
    return CONVOLUTIONS[dims](
        channels, out, stride=strides, padding=draw(st.integers(0, 2)), padding_mode=mode, **options
    )


def _scramble(norm: nn.Module) -> nn.Module:
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    return norm


def _decorate(layer: nn.Module, parametrization: str) -> nn.Module:
    if parametrization != "plain" and layer.weight.dim() > 1 and not isinstance(layer, nn.LayerNorm):
        return (spectral_norm if parametrization == "spectral" else weight_norm)(layer)
    return layer


def _output_shape(layer: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape of one sample's output, or None if the layer does not fit."""
    if isinstance(layer, nn.LayerNorm) and prod(layer.normalized_shape) < 4:
        return None  # variances of so few values are ill-conditioned
    if isinstance(layer, NORMS) and not isinstance(layer, nn.LayerNorm) and prod(shape[1:]) < 4:
        return None
    try:
        output = tuple(layer(torch.zeros(1, *shape)).shape[1:])
    except RuntimeError:
        return None
    return output if 0 < prod(output) <= LARGEST else None


def loss(logits: Tensor) -> Tensor:
    """Treat the first third of a batch as real samples, the others as fakes."""
    real = len(logits) // 3
    return torch.cat([softplus(-logits[:real]), softplus(logits[real:])])


def batch(size: int, shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(size)
    return torch.randn(size, *shape, generator=rng, dtype=torch.float64).to(dtype), torch.randint(
        4, (size, 3), generator=rng
    )


def gradients_by_loop(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[dict[str, Tensor], Tensor]:
    """Return the gradients (N, …) in float64 and their norms, one at a time from copies of the module."""
    total = len(inputs[0])
    names = [name for name, value in module.named_parameters() if value.requires_grad]
    rows = []
    for i in range(total):
        copy = deepcopy(module).cpu().double()
        logit = copy(*(part[i : i + 1].double() if part.is_floating_point() else part[i : i + 1] for part in inputs))
        value = loss(torch.cat([logit.new_zeros(i), logit, logit.new_zeros(total - i - 1)]))[i]
        weights = [copy.get_parameter(name) for name in names]
        rows.append(torch.autograd.grad(value, weights, allow_unused=True, materialize_grads=True))
    empty = [torch.zeros(0, *module.get_parameter(name).shape, dtype=torch.float64) for name in names]
    stacked = [torch.stack(column) for column in zip(*rows, strict=True)] if rows else empty
    norms = torch.cat([gradient.flatten(1) for gradient in stacked], dim=1).norm(dim=1)
    return dict(zip(names, stacked, strict=True)), norms


def clip(gradients: dict[str, Tensor], norms: Tensor, max_norm: float) -> dict[str, Tensor]:
    factors = (max_norm / norms).clamp(max=1)
    return {name: torch.tensordot(factors, gradient, dims=1) for name, gradient in gradients.items()}


FUSED_WEIGHT_NORM = 1e-7
"""What torch's kernel for weight norm on a GPU is good to: it takes the root in float32 even of float64 numbers."""


def has_weight_norm(module: nn.Module) -> bool:
    """Return whether any weight of `module` is divided by its norm."""
    return any(name.endswith("weight.original0") for name, _ in module.named_parameters())


def relative_error(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Return the L2 distance over all parameters, relative to the expected length."""
    assert list(found) == list(expected)
    difference = torch.cat([(found[name].cpu().double() - expected[name]).flatten() for name in expected])
    length = torch.cat([value.flatten() for value in expected.values()]).norm()
    return float(difference.norm() / length) if length else float(difference.norm())


WAYS = {
    "as measured": {},
    "Gram matrices": {"WRITE_COST": 1e9},
    "gradients by patches": {"WRITE_COST": -1e9, "MANY_POSITIONS": 10**9},
    "gradients by grouped convolution": {"WRITE_COST": -1e9, "MANY_POSITIONS": 0},
}


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize(("size", "examples"), [(0, 5), (1, 20), (7, 40), (33, 15)])
def test_equals_a_loop_over_single_samples(
    size: int, examples: int, dtype: torch.dtype, tolerance: float, device: str, caplog: pytest.LogCaptureFixture
) -> None:
    @settings(max_examples=examples, deadline=None, derandomize=True, database=None)
    @given(networks(), st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([*WAYS]))
    def check(network: tuple[nn.Module, tuple[int, ...]], relative_clip: float, way: str) -> None:
        module, shape = network
        module, inputs = module.to(dtype), batch(size, shape, dtype)
        gradients, norms = gradients_by_loop(module, inputs)
        module, inputs = module.to(device), tuple(part.to(device) for part in inputs)
        max_norm = relative_clip * float(norms.median()) if size else 1.0  # so that some are clipped and some are not
        with pytest.MonkeyPatch.context() as patch:
            for name, value in WAYS[way].items():
                patch.setattr(correlation, name, value)
            sums, found = clipped_gradient_sum(module, inputs, loss, max_norm=max_norm, engine="book_keeping")
        limit = max(tolerance, FUSED_WEIGHT_NORM) if device == "cuda" and has_weight_norm(module) else tolerance
        assert relative_error(sums, clip(gradients, norms, max_norm)) <= limit
        if size:
            assert float((found.cpu().double() / norms - 1).abs().max()) <= limit

    check()
    assert not caplog.records  # nothing was left to torch.func
