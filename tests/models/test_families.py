"""What every model family keeps to, whatever the image shape."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fedgan.models import MODELS, build_discriminator, build_generator

CONVOLUTIONAL = ["dcgan", "resnet"]
FAMILIES = [*CONVOLUTIONAL, "mixture", "mlp"]
SHAPES = [(1, 8, 8), (3, 12, 12), (1, 20, 20), (1, 28, 28), (3, 32, 32)]
PRIVATE_LAYERS = (nn.Linear, nn.Conv2d, nn.Embedding, nn.GroupNorm, nn.LayerNorm)


def generator(
    name: str, shape: tuple[int, int, int] = (1, 8, 8), *, classes: int = 3, width: int = 4, seed: int = 1
) -> nn.Module:
    return build_generator(name, latent_dim=5, num_classes=classes, image_shape=shape, width=width, seed=seed)


def discriminator(
    name: str, shape: tuple[int, int, int] = (1, 8, 8), *, classes: int = 3, width: int = 4, seed: int = 2
) -> nn.Module:
    return build_discriminator(name, num_classes=classes, image_shape=shape, width=width, seed=seed)


def images(count: int, shape: tuple[int, int, int] = (1, 8, 8), seed: int = 0) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def latents(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes_and_output_range(name: str, classes: int, shape: tuple[int, int, int]) -> None:
    network = generator(name, shape, classes=classes)
    labels = torch.arange(4) % classes
    made = network(latents(4) * 100, labels)
    assert made.shape == (4, *shape)
    assert made.dtype == torch.float32
    assert -1 <= made.min() < made.max() <= 1
    assert (network.latent_dim, network.num_classes, network.image_shape) == (5, classes, shape)
    assert discriminator(name, shape, classes=classes)(made, labels).shape == (4,)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@pytest.mark.parametrize("side", range(8, 65, 4))
def test_every_multiple_of_four_is_accepted(name: str, side: int) -> None:
    made = generator(name, (1, side, side), width=1)(latents(1), torch.tensor([0]))
    assert made.shape == (1, 1, side, side)
    assert discriminator(name, (1, side, side), width=1)(made, torch.tensor([0])).shape == (1,)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_default_width_makes_the_stated_sizes(name: str) -> None:
    def weights(side: int) -> int:
        return sum(p.numel() for p in discriminator(name, (1, side, side), classes=10, width=0).parameters())

    assert weights(8) < 200_000
    assert weights(8) < weights(28) < 700_000


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("count", [0, 1])
def test_empty_and_single_batches(name: str, count: int) -> None:
    labels = torch.zeros(count, dtype=torch.int64)
    made = generator(name)(latents(count), labels)
    assert made.shape == (count, 1, 8, 8)
    logits = discriminator(name)(made, labels)
    assert logits.shape == (count,)
    logits.sum().backward()


@pytest.mark.parametrize("name", FAMILIES)
def test_equal_seeds_give_equal_weights_and_the_global_stream_stands_still(name: str) -> None:
    for build in (generator, discriminator):
        torch.manual_seed(7)
        before = torch.get_rng_state()
        first, other = build(name, seed=11).state_dict(), build(name, seed=12).state_dict()
        torch.testing.assert_close(torch.get_rng_state(), before, rtol=0, atol=0)
        torch.manual_seed(8)
        again = build(name, seed=11).state_dict()
        assert all(torch.equal(first[key], again[key]) for key in first)
        assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", FAMILIES)
def test_state_holds_float_tensors_only(name: str) -> None:
    for network in (generator(name), discriminator(name)):
        assert {tensor.dtype for tensor in network.state_dict().values()} == {torch.float32}
    assert not list(discriminator(name).buffers())


@pytest.mark.parametrize("name", FAMILIES)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    labels = torch.arange(12) % 3
    critic, maker = discriminator(name), generator(name)
    critic(images(12), labels).square().sum().backward()
    (maker(latents(12), labels) * images(12)).sum().backward()
    for network in (critic, maker):
        for key, parameter in network.named_parameters():
            assert parameter.grad is not None, key
            assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", FAMILIES)
def test_labels_change_what_is_made_and_how_it_is_judged(name: str) -> None:
    for network, inputs in ((generator(name), latents(1)), (discriminator(name), images(1))):
        outputs = [network(inputs, torch.tensor([label])) for label in range(3)]
        for first, second in ((0, 1), (0, 2), (1, 2)):
            assert (outputs[first] - outputs[second]).abs().max() > 1e-3


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28)], ids=str)
@pytest.mark.privacy
def test_a_logit_depends_on_its_own_row_alone(name: str, shape: tuple[int, int, int]) -> None:
    critic, labels = discriminator(name, shape).double(), torch.tensor([0, 1, 2])
    batch = images(3, shape).double().requires_grad_()
    logits = critic(batch, labels)
    for row in range(3):
        (gradient,) = torch.autograd.grad(logits[row], batch, retain_graph=True)
        others = [other for other in range(3) if other != row]
        assert gradient[row].abs().max() > 0
        assert torch.count_nonzero(gradient[others]) == 0
        alone = critic(batch[row : row + 1], labels[row : row + 1])
        torch.testing.assert_close(alone[0], logits[row], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.privacy
def test_discriminators_are_made_of_layers_with_known_per_sample_gradients(name: str) -> None:
    calls: dict[nn.Module, int] = {}
    critic = discriminator(name)
    owners = [module for module in critic.modules() if list(module.parameters(recurse=False))]
    for module in owners:
        assert isinstance(module, PRIVATE_LAYERS), module
        module.register_forward_hook(lambda module, *_: calls.update({module: calls.get(module, 0) + 1}))
    critic(images(2), torch.tensor([0, 1]))
    assert calls == dict.fromkeys(owners, 1)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 12, 12)], ids=str)
@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.privacy
def test_per_sample_gradients_equal_a_loop_over_samples(name: str, shape: tuple[int, int, int]) -> None:
    from opacus import GradSampleModule
    from opacus.validators import ModuleValidator

    critic, labels = discriminator(name, shape).double(), torch.tensor([0, 2, 1, 0])
    batch = images(4, shape).double()
    assert ModuleValidator.validate(critic, strict=False) == []
    expected = []
    for row in range(4):
        loss = nn.functional.softplus(critic(batch[row : row + 1], labels[row : row + 1])).sum()
        expected.append(torch.autograd.grad(loss, list(critic.parameters())))
    hooked = GradSampleModule(critic, loss_reduction="sum", strict=True)
    nn.functional.softplus(hooked(batch, labels)).sum().backward()
    for index, (key, parameter) in enumerate(hooked.named_parameters()):
        looped = torch.stack([gradients[index] for gradients in expected])
        assert looped.abs().max() > 0, key
        torch.testing.assert_close(parameter.grad_sample, looped, rtol=1e-9, atol=1e-9, msg=key)


def test_the_registry_knows_the_families() -> None:
    assert set(FAMILIES) <= set(MODELS.names())
