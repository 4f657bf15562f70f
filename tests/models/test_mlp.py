"""The mlp family: what the cosine head draws, and how the projection discriminator reads labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.fft import dctn

from fedgan.models import build_discriminator, build_generator
from fedgan.models.families.mlp import GeneratorNorm


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (1, 9, 33), (3, 64, 64)], ids=str)
def test_images_hold_no_frequency_above_the_twentieth(shape: tuple[int, int, int]) -> None:
    generator = build_generator("mlp", latent_dim=6, num_classes=4, image_shape=shape, width=16, seed=3).double()
    latents = torch.randn(5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        images = generator(latents, torch.arange(5) % 4)
    spectrum = dctn(np.arctanh(images.numpy()), axes=(2, 3), norm="ortho")
    assert images.shape == (5, *shape)
    assert np.abs(spectrum[:, :, :20, :20]).max() > 1e-2
    spectrum[:, :, :20, :20] = 0
    assert np.abs(spectrum).max() < 1e-5


def test_the_scale_of_the_cosines_falls_off_with_their_frequency() -> None:
    generator = build_generator("mlp", latent_dim=6, num_classes=2, image_shape=(1, 28, 28), width=16, seed=3)
    with torch.no_grad():
        generator.hidden[-1].weight.zero_()
        generator.hidden[-1].bias.fill_(0.01)
        image = generator(torch.zeros(1, 6), torch.tensor([0]))
    # An orthonormal transform of a cosine with mean square 1 over 28 x 28 pixels has the coefficient 28.
    spectrum = dctn(np.arctanh(image.double().numpy())[0, 0], norm="ortho") / 28
    for row, column in ((0, 0), (0, 4), (4, 4), (19, 19)):
        assert spectrum[row, column] == pytest.approx(0.01 / (1 + (row**2 + column**2) / 16), rel=1e-3)


def test_the_state_dict_holds_weights_and_running_statistics_in_floats() -> None:
    generator = build_generator("mlp", latent_dim=6, num_classes=4, image_shape=(1, 8, 8), width=16, seed=3)
    statistics = {f"hidden.{layer}.{name}" for layer in (1, 4) for name in ("mean", "variance")}
    assert set(generator.state_dict()) == {name for name, _ in generator.named_parameters()} | statistics
    assert all(tensor.is_floating_point() for tensor in generator.state_dict().values())


def test_the_generators_normalisation_is_torchs_batch_normalisation() -> None:
    ours, theirs = GeneratorNorm(5), torch.nn.BatchNorm1d(5)
    rng = torch.Generator().manual_seed(0)
    for _ in range(3):
        rows = torch.randn(7, 5, generator=rng) * 3 + 1
        torch.testing.assert_close(ours(rows), theirs(rows))
    torch.testing.assert_close(ours.eval()(rows), theirs.eval()(rows))
    torch.testing.assert_close(ours.train()(rows[:1]), theirs(rows[:1]))  # one row has no statistics: the running ones


def test_the_logit_is_a_linear_score_plus_the_inner_product_with_the_labels_vector() -> None:
    critic = build_discriminator("mlp", num_classes=3, image_shape=(1, 8, 8), width=10, seed=3).double()
    images = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    weights = {name: value.numpy() for name, value in critic.state_dict().items()}

    def leaky(values: np.ndarray) -> np.ndarray:
        return np.where(values > 0, values, 0.2 * values)

    hidden = leaky(images.flatten(1).numpy() @ weights["hidden.1.weight"].T + weights["hidden.1.bias"])
    features = leaky(hidden @ weights["hidden.3.weight"].T + weights["hidden.3.bias"])
    vectors = weights["head.weight"] + weights["projection.weight"][labels.numpy()]
    expected = (features * vectors).sum(1) + weights["head.bias"]
    np.testing.assert_allclose(critic(images, labels).detach().numpy(), expected, rtol=1e-12)
