"""Integrated gradients against what they are known to be, and the properties that they promise."""

import pytest
import torch
from torch import nn

from fedgan.explain import attribution, integrated_gradients
from fedgan.models import build_discriminator

SHAPE = (1, 4, 5)


class Score(nn.Module):
    """A discriminator that is a formula of images (N, C, H, W) and labels (N,)."""

    def __init__(self, formula):
        super().__init__()
        self.formula = formula

    def forward(self, images, labels):
        return self.formula(images, labels)


@pytest.fixture
def images():
    return torch.rand((6, *SHAPE), generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture
def baseline():
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(1)) * 2 - 1


LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
WEIGHTS = torch.randn(SHAPE, generator=torch.Generator().manual_seed(2))


def test_of_a_linear_score_they_are_weight_times_difference(images, baseline):
    found = integrated_gradients(Score(lambda x, y: (x * WEIGHTS).flatten(1).sum(1) + 3), images, LABELS, baseline)
    torch.testing.assert_close(found.pixels, WEIGHTS * (images - baseline), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.scores, (images * WEIGHTS).flatten(1).sum(1) + 3)
    torch.testing.assert_close(found.baseline_scores, ((baseline * WEIGHTS).sum() + 3).expand(6))
    assert float(found.errors.max()) < 1e-4


def test_of_squares_they_are_the_differences_of_squares(images, baseline):
    found = integrated_gradients(Score(lambda x, y: (x**2 * WEIGHTS).flatten(1).sum(1)), images, LABELS, baseline)
    torch.testing.assert_close(found.pixels, WEIGHTS * (images**2 - baseline**2), atol=1e-4, rtol=1e-4)


def test_two_pixels_that_only_act_together_share_alike():
    ones = torch.ones((1, *SHAPE))
    score = Score(lambda x, y: x[:, 0, 1, 2] * x[:, 0, 3, 4])
    found = integrated_gradients(score, ones, LABELS[:1], torch.zeros(SHAPE))
    expected = torch.zeros_like(ones)
    expected[0, 0, 1, 2] = expected[0, 0, 3, 4] = 0.5
    torch.testing.assert_close(found.pixels, expected, atol=1e-5, rtol=0)


def test_what_speaks_for_real_is_positive_and_what_against_negative():
    bright = torch.ones((1, *SHAPE))
    score = Score(lambda x, y: 2 * x[:, 0, 0, 0] - 3 * x[:, 0, 3, 4])
    pixels = integrated_gradients(score, bright, LABELS[:1], torch.zeros(SHAPE)).pixels
    assert (float(pixels[0, 0, 0, 0]), float(pixels[0, 0, 3, 4])) == pytest.approx((2.0, -3.0), abs=1e-4)
    assert int((pixels.abs() > 1e-6).sum()) == 2


def test_errors_are_the_missing_part_of_the_score_difference():
    found = attribution.Attribution(
        pixels=torch.full((2, *SHAPE), 0.1), scores=torch.tensor([3.0, 1.5]), baseline_scores=torch.tensor([0.5, 0.0])
    )
    torch.testing.assert_close(found.errors, torch.tensor([0.5, 0.5]))


def other(shape):
    """An image to compare with; a constant one leaves group normalisation no contrast to divide by."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(3)) * 2 - 1


@pytest.mark.parametrize(("family", "shape"), [("mlp", (1, 8, 8)), ("dcgan", (3, 16, 16)), ("resnet", (1, 16, 16))])
class TestEveryDiscriminator:
    @pytest.fixture
    def discriminator(self, family, shape):
        module = build_discriminator(family, num_classes=3, image_shape=shape, width=8, seed=0)
        return module.eval().requires_grad_(False)

    @pytest.fixture
    def made(self, shape):
        return torch.rand((6, *shape), generator=torch.Generator().manual_seed(0)) * 2 - 1

    def test_pixels_add_up_to_the_score_difference(self, discriminator, made, shape):
        found = integrated_gradients(discriminator, made, LABELS, other(shape))
        difference = (found.scores - found.baseline_scores).abs()
        assert float(difference.max()) > 0.02
        assert float(found.errors.max()) < 0.02 * float(difference.max())
        coarse = integrated_gradients(discriminator, made, LABELS, other(shape), steps=2)
        assert float(coarse.errors.mean()) > 2 * float(found.errors.mean())

    def test_pixels_like_the_baseline_add_nothing(self, discriminator, made, shape):
        made[:, :, :3] = 0.25
        pixels = integrated_gradients(discriminator, made, LABELS, torch.full(shape, 0.25)).pixels
        assert not pixels[:, :, :3].any()
        assert pixels[:, :, 3:].any()

    def test_each_image_is_explained_as_its_own_label(self, discriminator, made, shape):
        found = integrated_gradients(discriminator, made, LABELS, other(shape))
        alone = integrated_gradients(discriminator, made[4:5], LABELS[4:5], other(shape))
        torch.testing.assert_close(found.pixels[4:5], alone.pixels, atol=1e-5, rtol=1e-4)
        changed = integrated_gradients(discriminator, made, (LABELS + 1) % 3, other(shape))
        assert not torch.allclose(found.pixels, changed.pixels, atol=1e-3)

    def test_the_size_of_a_pass_changes_nothing(self, discriminator, made, shape, monkeypatch):
        whole = integrated_gradients(discriminator, made, LABELS, other(shape), steps=20)
        monkeypatch.setattr(attribution, "_ROWS", 4)
        parts = integrated_gradients(discriminator, made, LABELS, other(shape), steps=20)
        torch.testing.assert_close(parts.pixels, whole.pixels, atol=1e-5, rtol=1e-4)


def test_nothing_is_left_behind(images, baseline):
    discriminator = build_discriminator("mlp", num_classes=3, image_shape=SHAPE, width=8, seed=0).eval()
    state = torch.random.get_rng_state()
    found = integrated_gradients(discriminator, images, LABELS, baseline)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in discriminator.parameters())
    assert not any(tensor.requires_grad for tensor in (found.pixels, found.scores, found.baseline_scores))
    assert not images.requires_grad
