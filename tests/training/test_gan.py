"""A pair of networks: built from a seed, sampled from public priors, frozen for the generator's step."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from fedgan.training.gan import Gan, frozen
from fedgan.training.streams import stream


def test_weights_follow_from_the_seed(make_gan: Callable[..., Gan]) -> None:
    torch.manual_seed(1)
    first, again, other = make_gan(seed=3), make_gan(seed=3), make_gan(seed=4)
    for name in ("generator", "discriminator"):
        state = first.network(name).state_dict()
        assert all(torch.equal(tensor, again.network(name).state_dict()[key]) for key, tensor in state.items())
        assert any(not torch.equal(tensor, other.network(name).state_dict()[key]) for key, tensor in state.items())


def test_networks_have_names(gan: Gan) -> None:
    assert gan.network("generator") is gan.generator
    assert gan.network("discriminator") is gan.discriminator
    with pytest.raises(KeyError):
        gan.network("critic")
    assert gan.device == torch.device("cpu")


def test_fakes_fit_the_discriminator(gan: Gan) -> None:
    images, labels = gan.fakes(7, stream(0, "fakes"))
    assert images.shape == (7, 1, 8, 8)
    assert labels.shape == (7,)
    assert bool((images.abs() <= 1).all())
    assert gan.discriminator(images, labels).shape == (7,)


def test_fakes_follow_from_the_stream(gan: Gan) -> None:
    first, again = (gan.fakes(5, stream(0, "fakes")) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], gan.fakes(5, stream(1, "fakes"))[0])


def test_frozen_parameters_thaw_even_after_an_error(gan: Gan) -> None:
    head = next(gan.discriminator.parameters())
    head.requires_grad_(False)
    others = list(gan.discriminator.parameters())[1:]
    with pytest.raises(RuntimeError, match="inside"), frozen(gan.discriminator):
        assert not any(parameter.requires_grad for parameter in gan.discriminator.parameters())
        raise RuntimeError("inside")
    assert all(parameter.requires_grad for parameter in others)
    assert not head.requires_grad  # what was frozen before stays so
