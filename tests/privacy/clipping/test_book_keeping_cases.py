"""What book_keeping does where a rule does not apply, where rounding could mislead it, and what it leaves behind."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from fedgan.errors import UsageError
from fedgan.privacy.clipping import ENGINES, clipped_gradient_sum
from fedgan.privacy.clipping.engines import book_keeping
from fedgan.privacy.clipping.microbatches import in_microbatches

pytestmark = pytest.mark.privacy

ROWS = 6


def loss(logits: Tensor) -> Tensor:
    return functional.softplus(torch.cat([-logits[:2], logits[2:]]))


def images(rows: int = ROWS) -> Tensor:
    return torch.randn(rows, 2, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def seeded(module: type[nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return module().double()


def assert_exact(module: nn.Module, inputs: tuple[Tensor, ...], *, max_norm: float) -> None:
    """Compare with one backward pass a sample, all through one forward pass, so that buffers change once."""
    state = {name: value.clone() for name, value in module.state_dict().items()}
    sums, norms = clipped_gradient_sum(module, inputs, loss, max_norm=max_norm, engine="book_keeping")
    module.load_state_dict(state)
    names = [name for name, value in module.named_parameters() if value.requires_grad]
    losses, expected = loss(module(*inputs)), dict.fromkeys(names, torch.zeros(()))
    for i, value in enumerate(losses):
        weights = [module.get_parameter(name) for name in names]
        found = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True, materialize_grads=True)
        norm = torch.cat([gradient.flatten() for gradient in found]).norm()
        torch.testing.assert_close(norms[i], norm, rtol=1e-10, atol=1e-14)
        factor = min(1.0, max_norm / max(float(norm), 1e-300))
        expected = {name: expected[name] + factor * part for name, part in zip(names, found, strict=True)}
    assert list(sums) == names
    for name in names:
        torch.testing.assert_close(sums[name], expected[name], rtol=1e-10, atol=1e-14)


class TiedWeights(nn.Module):
    """One matrix that embeds a token and scores it, and one convolution under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 2, 3, padding=1)
        self.second = self.first
        self.tokens = nn.Embedding(2 * 36, 5)

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        features = self.second(self.first(images).tanh()).tanh().flatten(1)
        scores = functional.linear(self.tokens(tokens).sum(dim=1), self.tokens.weight).tanh()
        return (features * scores).sum(dim=1)


class OwnParameter(nn.Module):
    """Parameters held by the module itself, which no rule knows; one is a single number."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor([0.7, -1.3]))
        self.shift = nn.Parameter(torch.tensor(0.3))
        self.linear = nn.Linear(72, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear((images * self.gain[:, None, None] + self.shift).tanh().flatten(1)).squeeze(1)


class HiddenUse(nn.Module):
    """A weight that is also used behind the back of its layer, for which a hook on the layer would miss half of it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(72, 1)

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        return self.linear(flat).squeeze(1).tanh() + (flat.sin() @ self.linear.weight.T).squeeze(1)


class RegroupedRows(nn.Module):
    """Layers that see something else than samples along dimension 0."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.positions = nn.Embedding(12, 3)

    def forward(self, images: Tensor) -> Tensor:
        rows = self.linear(images.reshape(-1, 6)).tanh().view(len(images), 12, 3)
        return (rows * self.positions(torch.arange(12))).sum(dim=(1, 2))


class Steepness(nn.Module):
    """Puts out how steep its logit is: weights act by second derivatives, of which layers' outputs tell nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)
        self.output = nn.Linear(48, 1)

    def forward(self, images: Tensor) -> Tensor:
        def logits(images: Tensor) -> Tensor:
            return self.output(self.conv(images).tanh().flatten(1)).squeeze(1)

        values, pull_back = torch.func.vjp(logits, images)
        (gradients,) = pull_back(torch.ones_like(values))
        return values + gradients.square().sum(dim=(1, 2, 3))


class Plain(nn.Sequential):
    """Nothing unusual."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 1), nn.Flatten(0))


class Positions(nn.Module):
    """As many positions, the same for all samples, as there are samples: their embedding is no sample's."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(12, 3)
        self.positions = nn.Embedding(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        rows = self.linear(images.permute(0, 2, 1, 3).flatten(2)).tanh()
        return (rows * self.positions(torch.arange(6))).sum(dim=(1, 2))


class InPlace(nn.Module):
    """Changes in place what layers return, also through views of it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(2, affine=True)
        self.rows = nn.Linear(6, 6)
        self.output = nn.Linear(72, 1)

    def forward(self, images: Tensor) -> Tensor:
        features = self.norm(images).mul_(2).tanh_()
        features = self.rows(features).add_(1)
        features[:, 0].mul_(3)
        features.sigmoid_()
        return self.output(features.flatten(1)).squeeze(1)


class Spectral(nn.Module):
    """Spectral normalisation of a layer that is used twice, so that its power iteration advances in between."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = spectral_norm(nn.Conv2d(2, 2, 3, padding=1))
        self.output = spectral_norm(nn.Linear(72, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.output(self.conv(self.conv(images).tanh()).tanh().flatten(1)).squeeze(1)


@pytest.mark.parametrize("max_norm", [0.1, 1e6])
@pytest.mark.parametrize("module", [InPlace, Spectral])
def test_layers_used_in_unusual_ways_keep_their_rule(
    module: type[nn.Module], max_norm: float, caplog: pytest.LogCaptureFixture
) -> None:
    assert_exact(seeded(module), (images(),), max_norm=max_norm)
    assert not caplog.records


@pytest.mark.parametrize("max_norm", [0.1, 1e6])
def test_parameters_with_several_names_and_uses_count_once(max_norm: float, caplog: pytest.LogCaptureFixture) -> None:
    tokens = torch.arange(3 * ROWS).view(ROWS, 3) % 5  # a token more than once in a sample, too
    assert_exact(seeded(TiedWeights), (images(), tokens), max_norm=max_norm)
    assert not caplog.records


@pytest.mark.parametrize("max_norm", [0.1, 1e6])
@pytest.mark.parametrize("rows", [1, ROWS])
@pytest.mark.parametrize(
    ("module", "named"),
    [
        (OwnParameter, "gain"),
        (HiddenUse, "linear.weight"),
        (RegroupedRows, "linear.weight"),
        (Positions, "positions.weight"),
        (Steepness, "conv.weight"),
    ],
)
def test_uses_without_a_rule_are_exact_and_logged_once(
    module: type[nn.Module], named: str, rows: int, max_norm: float, caplog: pytest.LogCaptureFixture
) -> None:
    book_keeping._warn_once.cache_clear()
    network = seeded(module)
    for each in (network, network, seeded(module)):
        assert_exact(each, (images(rows),), max_norm=max_norm)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert named in caplog.text


def test_a_layer_that_meets_its_own_derivative_is_not_taken_for_an_ordinary_one() -> None:
    """Differentiated by autograd, which torch.func cannot look into: refused, where a layer's rule would be wrong."""

    class Old(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(72, 1)

        def forward(self, images: Tensor) -> Tensor:
            images = images.clone().requires_grad_()
            values = self.linear(images.flatten(1)).squeeze(1)
            (gradients,) = torch.autograd.grad(values.exp().sum(), images, create_graph=True)
            return values + gradients.square().sum(dim=(1, 2, 3))

    with pytest.raises(UsageError, match=r"privacy\.clipping_engine = 'book_keeping'"):
        clipped_gradient_sum(seeded(Old), (images(),), loss, max_norm=1.0, engine="book_keeping")


def test_what_no_engine_can_take_apart_is_refused() -> None:
    class Stateful(OwnParameter):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images * float(self.gain[0].detach().sum() + images.mean()))

    with pytest.raises(UsageError, match=r"privacy\.clipping_engine = 'book_keeping'"):
        clipped_gradient_sum(seeded(Stateful), (images(),), loss, max_norm=1.0, engine="book_keeping")


def test_what_a_sample_looks_up_twice_adds_up_in_its_norm() -> None:
    class Bag(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(4, 3)

        def forward(self, tokens: Tensor) -> Tensor:
            return self.tokens(tokens).sum(dim=(1, 2))

    tokens = torch.tensor([[0, 0, 0], [1, 1, 2], [0, 1, 2], [3, 3, 3]])
    assert_exact(seeded(Bag), (tokens,), max_norm=0.1)


def test_every_group_of_a_convolution_is_in_its_norm() -> None:
    class Grouped(nn.Sequential):
        """So many channels that Gram matrices cost less than gradients."""

        def __init__(self) -> None:
            grouped = nn.Conv2d(64, 64, 3, groups=2)
            super().__init__(nn.Conv2d(2, 64, 1), grouped, nn.Tanh(), nn.Flatten(), nn.Linear(1024, 1), nn.Flatten(0))

    assert_exact(seeded(Grouped), (images(),), max_norm=0.1)


@pytest.mark.parametrize("option", [{"max_norm": 1.0}, {"scale_grad_by_freq": True}])
def test_embeddings_that_tie_samples_together_are_refused(option: dict[str, float]) -> None:
    module = nn.Sequential(nn.Embedding(4, 1, **option), nn.Flatten(0))
    with pytest.raises(UsageError, match=next(iter(option))):
        clipped_gradient_sum(module, (torch.arange(4),), loss, max_norm=1.0, engine="book_keeping")


def test_a_changed_input_is_an_error() -> None:
    class Overwriting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(72, 1)

        def forward(self, images: Tensor) -> Tensor:
            flat = images.flatten(1) * 1
            logits = self.linear(flat).squeeze(1)
            flat.zero_()
            return logits

    with pytest.raises(RuntimeError, match="in place"):
        clipped_gradient_sum(seeded(Overwriting), (images(),), loss, max_norm=1.0, engine="book_keeping")


def test_gram_matrices_that_cancel_do_not_hide_a_gradient() -> None:
    # Two positions with nearly opposite, large gradients: what is left is far below the rounding of their products.
    class Difference(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(64, 64, bias=False)

        def forward(self, pairs: Tensor) -> Tensor:
            left, right = self.linear(pairs).unbind(dim=1)
            return (left - right).sum(dim=1)

    base = torch.randn(4, 1, 64, generator=torch.Generator().manual_seed(0)) * 1e4
    step = torch.randn(4, 1, 64, generator=torch.Generator().manual_seed(1)) * 0.1
    module, pairs = seeded(Difference).float(), torch.cat([base, base + step], dim=1)
    sums, norms = clipped_gradient_sum(module, (pairs,), lambda x: x, max_norm=1.0, engine="book_keeping")
    exact = (pairs[:, 0].double() - pairs[:, 1].double()).norm(dim=1) * 8
    torch.testing.assert_close(norms.double(), exact, rtol=1e-3, atol=0)
    assert float(sums["linear.weight"].norm()) <= 4 * (1 + 1e-3)


@pytest.mark.parametrize("rows", [1, 4, ROWS, 100])
@pytest.mark.parametrize("engine", ENGINES.names())
def test_microbatches_change_nothing(engine: str, rows: int) -> None:
    module, inputs = seeded(Plain), (images(),)
    expected, expected_norms = clipped_gradient_sum(module, inputs, loss, max_norm=0.5, engine=engine)
    sums, norms = in_microbatches(ENGINES[engine], rows)(module, inputs, loss, max_norm=0.5)
    torch.testing.assert_close(norms, expected_norms, rtol=1e-10, atol=0)
    for name in expected:
        torch.testing.assert_close(sums[name], expected[name], rtol=1e-10, atol=1e-14)


def test_no_hook_and_no_gradient_is_left_after_an_error() -> None:
    module = seeded(Spectral)
    before = {name: set(vars(layer)) for name, layer in module.named_modules()}

    def failing(logits: Tensor) -> Tensor:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        clipped_gradient_sum(module, (images(),), failing, max_norm=1.0, engine="book_keeping")
    assert {name: set(vars(layer)) for name, layer in module.named_modules()} == before
    assert all(parameter.grad is None and vars(parameter) == {} for parameter in module.parameters())
    assert not any(layer._forward_hooks or layer._backward_hooks for layer in module.modules())
    logits = functional.linear(torch.ones(1, 72).double(), module.output.parametrizations.weight.original)
    assert leaf_reached(logits)  # functions work on the parameters themselves again


def leaf_reached(result: Tensor) -> bool:
    return result.grad_fn is not None and any(node is not None for node, _ in result.grad_fn.next_functions)
