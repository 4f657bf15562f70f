"""What is explained: generated images of the wanted classes, against the average generated image."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from fedgan.errors import FedganError
from fedgan.evaluation import generate_images
from fedgan.explain import Attribution, Explanation, explain_classes
from fedgan.models import build_discriminator, build_generator
from fedgan.seeding import derive_seed

SHAPE = (1, 8, 8)


@pytest.fixture(scope="module")
def networks() -> tuple[nn.Module, nn.Module]:
    common = {"num_classes": 4, "image_shape": SHAPE, "width": 16, "seed": 0}
    generator = build_generator("mlp", latent_dim=5, **common).eval().requires_grad_(False)
    return generator, build_discriminator("mlp", **common).eval().requires_grad_(False)


def test_images_are_the_generators_own_of_the_wanted_classes(networks):
    found = explain_classes(*networks, labels=[3, 1], count=2, seed=7)
    expected = generate_images(networks[0], 4, labels=[3, 1], seed=7)
    assert found.labels.tolist() == [3, 1, 3, 1]
    assert torch.equal(found.images, expected.images)
    torch.testing.assert_close(found.attribution.scores, networks[1](found.images, found.labels))


def test_they_are_compared_with_the_average_image_of_all_classes(networks):
    found = explain_classes(*networks, labels=[2], count=1, seed=7)
    average = generate_images(networks[0], 500, seed=derive_seed(7, "baseline")).images.mean(0)
    score = networks[1](average[None], torch.tensor([2]))
    torch.testing.assert_close(found.attribution.baseline_scores, score, atol=1e-5, rtol=1e-5)


def test_a_seed_gives_the_same_explanation_and_another_gives_another(networks):
    first, again, other = (explain_classes(*networks, labels=[0], count=2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.attribution.pixels, again.attribution.pixels)
    assert not torch.equal(first.attribution.pixels, other.attribution.pixels)


def test_a_discriminator_that_diverged_is_no_picture(networks):
    broken = deepcopy(networks[1])
    next(broken.parameters()).fill_(float("nan"))
    with pytest.raises(FedganError, match="training diverged"):
        explain_classes(networks[0], broken, labels=[0], count=1, seed=0)


def test_a_summary_is_the_mean_score_and_the_worst_error_of_its_class():
    pixels = torch.zeros(3, *SHAPE)
    pixels[:, 0, 0, 0] = torch.tensor([1.0, 2.0, 5.0])
    scores, baseline_scores = torch.tensor([1.5, 2.0, 7.0]), torch.tensor([0.25, 0.5, 0.25])
    found = Explanation(torch.zeros(3, *SHAPE), torch.tensor([6, 2, 6]), Attribution(pixels, scores, baseline_scores))
    six, two = found.summaries()
    assert (six.label, six.images, six.mean_score, six.baseline_score) == (6, 2, 4.25, 0.25)
    assert six.completeness_error == pytest.approx(1.75)
    assert (two.label, two.images, two.mean_score, two.baseline_score) == (2, 1, 2.0, 0.5)
    assert two.completeness_error == pytest.approx(0.5)
