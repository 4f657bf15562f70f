"""Distances and manifold overlap against computations written here, against theory, and against what they are for."""

import socket

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from fedgan.data import load_data
from fedgan.data.dataset import ImageDataset
from fedgan.errors import UsageError
from fedgan.evaluation import METRICS, features, manifolds, neighbourhoods, network
from fedgan.evaluation.features import compared_features
from fedgan.evaluation.metrics import frechet_distance, kernel_distance
from fedgan.evaluation.shared import forget

NAMES = ["frechet_distance", "kernel_distance", "precision", "recall", "density", "coverage"]
LEAST = {"frechet_distance": 2, "kernel_distance": 2, "precision": 4, "recall": 4, "density": 6, "coverage": 6}


@pytest.fixture(scope="module")
def digits():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield load_data("digits", root=None, image_size=0, channels=0)
    torch.set_num_threads(threads)


def noisy(data, std, seed=0):
    images, labels = data.batch(torch.arange(len(data)))
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
    return ImageDataset((images + std * noise).clamp(-1, 1), labels, data.num_classes)


def of_classes(data, *classes):
    return data.subset(torch.isin(data.labels, torch.tensor(classes)).nonzero()[:, 0])


def score(name, synthetic, test, seed=0):
    return METRICS[name].score(synthetic, test, seed)


@pytest.fixture
def short_training(monkeypatch):
    """Features of a hardly trained network will do where their quality is not the point."""
    forget()
    monkeypatch.setattr(network, "EPOCHS", 1)
    monkeypatch.setattr(network, "STEPS", 5)
    yield
    forget()


@pytest.fixture
def given(monkeypatch):
    """Put features of one's own in the place of the network's, (N, D) and (M, D)."""

    def give(made, real):
        made, real = (torch.as_tensor(rows, dtype=torch.float64) for rows in (made, real))
        for module in (frechet_distance, kernel_distance, manifolds, neighbourhoods):
            monkeypatch.setattr(module, "compared_features", lambda *_, **__: (made, real))

    return give


# Oracles: the same numbers by other means.


def frechet_oracle(x, y):
    """Frechet distance by square roots of symmetric matrices, (N, D) and (M, D)."""
    values, vectors = np.linalg.eigh(np.cov(x, rowvar=False))
    root = vectors @ np.diag(np.sqrt(values.clip(0))) @ vectors.T
    second = np.cov(y, rowvar=False)
    cross = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(0)).sum()
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + values.sum() + np.trace(second) - 2 * cross


def kernel_oracle(x, y):
    """Unbiased squared MMD of N and M features, kernel by kernel value."""

    def kernel(a, b):
        return (a @ b.T / x.shape[1] + 1) ** 3

    n, m = len(x), len(y)
    within = [(kernel(z, z).sum() - np.trace(kernel(z, z))) / (len(z) * (len(z) - 1)) for z in (x, y)]
    return within[0] + within[1] - 2 * kernel(x, y).sum() / (n * m)


def share_in_manifold(points, manifold, neighbour=3):
    """Share of `points` within the distance of a point of `manifold` to its third neighbour."""
    radius = np.sort(cdist(manifold, manifold), axis=1)[:, neighbour]  # column 0 is the point itself
    return (cdist(points, manifold) <= radius).any(axis=1).mean()


def balls(made, real, neighbour=5):
    """(M, N): whether a synthetic image lies nearer to a real one than its fifth neighbour."""
    radius = np.sort(cdist(real, real), axis=1)[:, neighbour]
    return cdist(real, made) < radius[:, None]


def test_each_agrees_with_its_oracle_on_digits(digits):
    synthetic = noisy(of_classes(digits.train, *range(7)), 0.4).subset(torch.arange(len(digits.test)))
    made, real = (rows.numpy() for rows in compared_features(synthetic, digits.test, at_least=1))
    assert score("frechet_distance", synthetic, digits.test) == pytest.approx(frechet_oracle(made, real), abs=1e-4)
    assert score("kernel_distance", synthetic, digits.test) == pytest.approx(kernel_oracle(made, real), rel=1e-6)
    assert score("precision", synthetic, digits.test) == pytest.approx(share_in_manifold(made, real), abs=1e-6)
    assert score("recall", synthetic, digits.test) == pytest.approx(share_in_manifold(real, made), abs=1e-6)
    assert score("density", synthetic, digits.test) == pytest.approx(
        balls(made, real).sum() / (5 * len(made)), abs=1e-9
    )
    assert score("coverage", synthetic, digits.test) == pytest.approx(balls(made, real).any(axis=1).mean(), abs=1e-9)
    assert frechet_oracle(made, real) > 0.5
    assert share_in_manifold(made, real) - share_in_manifold(real, made) > 0.05


def test_the_frechet_distance_of_gaussians_is_the_formulas(given):
    rng = np.random.default_rng(0)
    given(rng.normal(1.0, 2.0, (200_000, 3)), rng.normal(0.0, 1.0, (200_000, 3)))
    # Per dimension 1 between the means and (2 - 1)^2 between the standard deviations.
    assert score("frechet_distance", None, None) == pytest.approx(6.0, abs=0.05)


def test_the_kernel_distance_of_gaussians_is_the_formulas(given, monkeypatch):
    monkeypatch.setattr(kernel_distance, "SUBSETS", 20)
    rng = np.random.default_rng(0)
    mean = 0.3
    given(rng.normal(mean, 1.0, (20_000, 1)), rng.normal(0.0, 1.0, (20_000, 1)))
    # (x y + 1)^3 is the product of the moments 1, sqrt(3) x, sqrt(3) x^2, x^3, whose means differ by these.
    moments = 3 * mean**2 + 3 * (mean**2) ** 2 + (mean**3 + 3 * mean) ** 2
    assert score("kernel_distance", None, None) == pytest.approx(moments, abs=0.25 * moments)


def test_the_kernel_distance_of_one_distribution_falls_on_both_sides_of_zero(given):
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        given(rng.normal(size=(100, 4)), rng.normal(size=(100, 4)))
        found.append(score("kernel_distance", None, None))
    assert min(found) < 0 < max(found)
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))


def test_larger_sets_are_drawn_from_and_the_seed_draws(given, monkeypatch):
    monkeypatch.setattr(kernel_distance, "SUBSETS", 5)
    rng = np.random.default_rng(0)
    given(rng.normal(0.5, 1, (3000, 4)), rng.normal(0, 1, (1200, 4)))
    for name in ("kernel_distance", "precision", "recall", "density", "coverage"):
        found = [score(name, None, None, seed) for seed in (0, 0, 1, 2, 3)]
        assert found[0] == found[1]
        assert len(set(found)) > 2
        assert np.ptp(found) < 0.2


# Conventions: what the numbers are read for.


def test_the_test_set_against_itself_is_at_the_best(digits):
    test = digits.test
    assert score("frechet_distance", test, test) == pytest.approx(0.0, abs=1e-6)
    # Each image meets itself across the sets and not within them, so the estimate falls below 0, by a little.
    assert -0.02 < score("kernel_distance", test, test) < 0
    assert [score(name, test, test) for name in NAMES[2:]] == [1.0, 1.0, 1.0, 1.0]


def test_distances_grow_with_the_damage(digits):
    damaged = [noisy(digits.train, std) for std in (0.0, 0.4, 0.8, 1.6)]
    for name in ("frechet_distance", "kernel_distance"):
        found = [score(name, synthetic, digits.test) for synthetic in damaged]
        assert found == sorted(found), name
        assert found[-1] > 5 * abs(found[0]), name
    shares = [score("precision", synthetic, digits.test) for synthetic in damaged]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.85
    assert shares[-1] < 0.6
    for name in ("density", "coverage"):
        found = [score(name, synthetic, digits.test) for synthetic in damaged]
        assert found == sorted(found, reverse=True), name
        assert found[0] > 0.8, name
        assert found[-1] < 0.3, name


def test_mode_collapse_keeps_precision_and_loses_recall(digits):
    collapsed = of_classes(digits.train, 3)
    assert score("precision", collapsed, digits.test) > 0.85
    assert score("recall", collapsed, digits.test) < 0.2
    assert score("density", collapsed, digits.test) > 0.8
    assert score("coverage", collapsed, digits.test) < 0.4


def test_half_of_the_classes_give_half_of_the_recall(digits):
    half = of_classes(digits.train, 0, 1, 2, 3, 4)
    assert score("precision", half, digits.test) > 0.85
    assert score("recall", half, digits.test) == pytest.approx(0.5, abs=0.1)
    assert score("coverage", half, digits.test) == pytest.approx(0.5, abs=0.1)


def test_labels_do_not_matter_to_a_distance(digits):
    relabelled = ImageDataset(digits.train.images, torch.zeros_like(digits.train.labels), 10)
    for name in NAMES:
        assert score(name, relabelled, digits.test) == score(name, digits.train, digits.test)


# What it reads, and when it refuses.


def test_no_network_is_needed(digits, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert all(np.isfinite(score(name, digits.train, digits.test)) for name in NAMES)


@pytest.mark.parametrize(("name", "least"), LEAST.items())
def test_too_few_images_are_refused(digits, name, least):
    with pytest.raises(UsageError, match=f"{least - 1} synthetic and 360 test images: at least {least} of each"):
        score(name, digits.train.subset(torch.arange(least - 1)), digits.test)
    assert np.isfinite(score(name, digits.train.subset(torch.arange(least)), digits.test))


@pytest.mark.parametrize("name", NAMES)
def test_a_test_set_of_one_class_teaches_no_features(digits, name):
    with pytest.raises(UsageError, match="test images are all of one class"):
        score(name, digits.train, of_classes(digits.test, 3))


def test_features_are_scaled_by_the_test_set_and_tell_its_classes_apart(digits):
    fresh, real = compared_features(digits.train, digits.test, at_least=1)
    assert fresh.shape == (1437, 128)
    assert float(real.square().mean()) == pytest.approx(1.0, abs=1e-5)
    assert float(fresh.min()) >= 0
    nearest = torch.cdist(fresh, real).argmin(dim=1)
    assert float((digits.test.labels[nearest] == digits.train.labels).double().mean()) > 0.9


@pytest.mark.usefixtures("short_training")
def test_each_test_set_has_features_of_its_own(digits):
    halves = [digits.test.subset(torch.arange(start, 360, 2)) for start in (0, 1)]
    first, second, again = (compared_features(digits.test, half, at_least=1)[0] for half in (*halves, halves[0]))
    assert torch.equal(first, again)
    assert not torch.allclose(first, second)


@pytest.mark.usefixtures("short_training")
def test_one_evaluation_computes_the_features_once(digits, monkeypatch):
    passes = []
    compute = features.outputs
    monkeypatch.setattr(features, "outputs", lambda *given: passes.append(1) or compute(*given))
    for name in NAMES:
        score(name, digits.train, digits.test)
    assert len(passes) == 2  # the synthetic images and the test images
    score("precision", digits.test, digits.test)
    assert len(passes) == 4


@pytest.mark.usefixtures("short_training")
def test_features_do_not_depend_on_the_runs_seed(digits):
    """So that distances of several runs on one test set compare."""
    found = {score("frechet_distance", digits.train, digits.test, seed) for seed in (0, 1)}
    forget()
    found.add(score("frechet_distance", digits.train, digits.test, 2))
    assert len(found) == 1
