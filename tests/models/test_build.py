"""Errors of the model builders: each names the configuration key and what would do."""

from __future__ import annotations

import pytest

from fedgan.errors import UsageError
from fedgan.models import MODELS, build_discriminator, build_generator, count_weights


@pytest.mark.parametrize(("typed", "nearest"), [("dcgam", "dcgan"), ("resnet18", "resnet")])
def test_an_unknown_name_offers_the_nearest(typed: str, nearest: str) -> None:
    with pytest.raises(UsageError, match=rf"model\.name = '{typed}' is unknown: did you mean '{nearest}'\?"):
        build_discriminator(typed, num_classes=2, image_shape=(1, 8, 8), width=0, seed=0)
    with pytest.raises(UsageError, match="did you mean"):
        build_generator(typed, latent_dim=2, num_classes=2, image_shape=(1, 8, 8), width=0, seed=0)


@pytest.mark.parametrize("name", ["dcgan", "resnet"])
@pytest.mark.parametrize("side", [0, 4, 7, 10, 30, 63, 68, 128])
def test_an_image_size_out_of_range_is_refused(name: str, side: int) -> None:
    accepted = rf"data\.image_size = {side} is not accepted: give a multiple of 4 from 8 to 64"
    with pytest.raises(UsageError, match=accepted):
        build_discriminator(name, num_classes=2, image_shape=(1, side, side), width=0, seed=0)
    with pytest.raises(UsageError, match=accepted):
        build_generator(name, latent_dim=2, num_classes=2, image_shape=(1, side, side), width=0, seed=0)


@pytest.mark.parametrize("name", ["dcgan", "resnet"])
def test_oblong_images_and_odd_channels_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"data\.image_size = '8x12'"):
        build_discriminator(name, num_classes=2, image_shape=(1, 8, 12), width=0, seed=0)
    with pytest.raises(UsageError, match=r"data\.channels = 2 is not accepted: give 1 or 3"):
        build_generator(name, latent_dim=2, num_classes=2, image_shape=(2, 8, 8), width=0, seed=0)


def test_sizes_that_make_no_network_are_refused() -> None:
    with pytest.raises(UsageError, match=r"model\.width = -1"):
        build_discriminator("dcgan", num_classes=2, image_shape=(1, 8, 8), width=-1, seed=0)
    with pytest.raises(UsageError, match=r"model\.latent_dim = 0"):
        build_generator("dcgan", latent_dim=0, num_classes=2, image_shape=(1, 8, 8), width=0, seed=0)
    with pytest.raises(ValueError, match="num_classes = 0"):
        build_discriminator("dcgan", num_classes=0, image_shape=(1, 8, 8), width=0, seed=0)


@pytest.mark.parametrize("name", MODELS.names())
def test_weights_are_counted_without_building(name: str) -> None:
    sizes = {"num_classes": 3, "image_shape": (1, 16, 16), "width": 8}
    built = (build_generator(name, latent_dim=5, seed=0, **sizes), build_discriminator(name, seed=0, **sizes))  # type: ignore[arg-type]
    counted = sum(tensor.numel() for module in built for tensor in (*module.parameters(), *module.buffers()))
    assert count_weights(name, latent_dim=5, **sizes) == counted  # type: ignore[arg-type]
    assert count_weights(name, latent_dim=5, **{**sizes, "width": 10**6}) > 10**9  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"model.width = .* is not accepted"):
        count_weights(name, latent_dim=5, **{**sizes, "width": 2**70})  # type: ignore[arg-type]
