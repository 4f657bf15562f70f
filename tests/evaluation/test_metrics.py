import pytest
import torch

from fedgan.data.dataset import ImageDataset
from fedgan.errors import UsageError
from fedgan.evaluation import METRICS, Scale, network
from fedgan.evaluation.network import build_cnn, build_mlp
from fedgan.evaluation.shared import forget

SHAPE = (1, 8, 8)


def stripes(records: int, seed: int) -> ImageDataset:
    """Two classes that differ in which half is bright, with noise far below the contrast."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(records) % 2
    images = -0.5 + 0.1 * torch.randn((records, *SHAPE), generator=rng)
    images[labels == 0, :, :, :4] += 1
    images[labels == 1, :, :, 4:] += 1
    return ImageDataset(images=images.clamp(-1, 1), labels=labels, num_classes=2)


def with_labels(data: ImageDataset, labels: torch.Tensor) -> ImageDataset:
    return ImageDataset(images=data.images, labels=labels, num_classes=data.num_classes)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def short_training(monkeypatch):
    """Features of hardly trained networks will do where their quality is not the point."""
    forget()
    monkeypatch.setattr(network, "EPOCHS", 1)
    monkeypatch.setattr(network, "STEPS", 5)


ACCURACIES = ["cnn", "logistic_regression", "mlp"]
OTHERS = ["coverage", "density", "duplicates", "frechet_distance", "kernel_distance", "precision", "recall"]
WITHOUT_EXTRA = [*ACCURACIES, "coverage", "density", "duplicates"]
SCALES = {"density": Scale.DENSITY, "duplicates": Scale.EXCESS, "fid": Scale.DISTANCE}


def test_the_built_in_metrics_are_registered():
    assert METRICS.names() == sorted([*ACCURACIES, *OTHERS, "fid"])


@pytest.mark.parametrize("name", METRICS.names())
def test_every_metric_says_what_it_measures(name):
    metric = METRICS[name]
    assert metric.scale is (Scale.DISTANCE if name.endswith("_distance") else SCALES.get(name, Scale.SHARE))
    assert metric.package == ("" if name in WITHOUT_EXTRA else "torch-fidelity")
    assert metric.meaning.startswith("accuracy on the held-out test set ") is (name in ACCURACIES)
    assert len(metric.meaning.splitlines()) == 1


def test_nothing_carries_the_name_of_a_measure_on_inception_without_its_weights():
    """The Frechet inception distance is defined on one network's features."""
    found = [name for name in METRICS.names() if any(word in name for word in ("fid", "kid", "inception"))]
    assert found == ["fid"]
    assert [name for name in METRICS.names() if METRICS[name].with_weights] == ["fid"]


@pytest.mark.parametrize("name", ACCURACIES)
class TestEveryAccuracy:
    def test_separable_classes_score_one(self, name):
        assert METRICS[name].score(stripes(400, 0), stripes(100, 1), 0) == pytest.approx(1.0, abs=0.01)

    def test_swapped_labels_score_zero(self, name):
        synthetic = stripes(400, 0)
        swapped = with_labels(synthetic, 1 - synthetic.labels)
        assert METRICS[name].score(swapped, stripes(100, 1), 0) == pytest.approx(0.0, abs=0.01)

    def test_labels_without_meaning_score_chance(self, name):
        test = stripes(2000, 1)
        random = torch.randint(2, (2000,), generator=torch.Generator().manual_seed(2))
        # Whatever is predicted is right with probability 1/2 for each image: 0.06 is over 5 standard deviations.
        assert METRICS[name].score(stripes(400, 0), with_labels(test, random), 0) == pytest.approx(0.5, abs=0.06)

    def test_training_on_shuffled_labels_separates_nothing(self, name):
        rng = torch.Generator().manual_seed(3)
        noise = ImageDataset(
            images=torch.rand((300, *SHAPE), generator=rng) * 2 - 1, labels=torch.arange(300) % 10, num_classes=10
        )
        test = ImageDataset(
            images=torch.rand((2000, *SHAPE), generator=rng) * 2 - 1, labels=torch.arange(2000) % 10, num_classes=10
        )
        assert METRICS[name].score(noise, test, 0) == pytest.approx(0.1, abs=0.04)

    def test_a_single_class_is_refused(self, name):
        with pytest.raises(UsageError, match=r"synthetic images are all of one class: .* at least two"):
            METRICS[name].score(with_labels(stripes(10, 0), torch.zeros(10, dtype=torch.int64)), stripes(10, 1), 0)


@pytest.mark.usefixtures("short_training")
@pytest.mark.parametrize("name", [*ACCURACIES, *OTHERS])
class TestEveryMetric:
    def test_equal_seeds_give_equal_bits_and_the_global_random_state_stays(self, name):
        synthetic, test = stripes(200, 0), with_labels(stripes(200, 1), torch.randint(2, (200,)))
        before = torch.random.get_rng_state()
        first = METRICS[name].score(synthetic, test, 7)
        forget()
        torch.rand(3)
        torch.random.set_rng_state(before)
        assert METRICS[name].score(synthetic, test, 7) == first
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_bytes_and_floats_are_the_same_images(self, name):
        as_bytes = ((stripes(100, 1).images + 1) * 127.5).round().byte()
        stored = ImageDataset(images=as_bytes, labels=torch.arange(100) % 2, num_classes=2)
        test = ImageDataset(*stored.batch(torch.arange(100)), num_classes=2)
        assert METRICS[name].score(stripes(200, 0), stored, 0) == METRICS[name].score(stripes(200, 0), test, 0)

    def test_images_of_another_shape_are_refused(self, name):
        larger = ImageDataset(images=torch.zeros(4, 1, 9, 9), labels=torch.arange(4) % 2, num_classes=2)
        with pytest.raises(UsageError, match=r"\(1, 9, 9\)"):
            METRICS[name].score(larger, stripes(10, 1), 0)

    def test_other_classes_are_refused(self, name):
        test = stripes(10, 1)
        with pytest.raises(UsageError, match="2 synthetic classes"):
            METRICS[name].score(stripes(10, 0), ImageDataset(images=test.images, labels=test.labels, num_classes=3), 0)

    def test_an_empty_test_set_is_refused(self, name):
        nothing = ImageDataset(images=torch.zeros(0, *SHAPE), labels=torch.zeros(0, dtype=torch.int64), num_classes=2)
        with pytest.raises(UsageError, match="0 test images"):
            METRICS[name].score(stripes(10, 0), nothing, 0)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 33, 48), (3, 64, 64)])
def test_the_network_fits_every_image_shape(shape):
    model = build_cnn(shape, 7, 0)
    assert model(torch.zeros(2, *shape)).shape == (2, 7)
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in model.modules()) == 2
    assert sum(isinstance(layer, torch.nn.Linear) for layer in model.modules()) == 2


@pytest.mark.parametrize(("images", "steps"), [(20, 300), (130, 300), (5000, 8 * 40), (6400, 8 * 50)])
def test_small_sets_are_seen_more_often(monkeypatch, images, steps):
    taken = []
    monkeypatch.setattr(torch.optim.Adam, "step", lambda *_: taken.append(1))
    data = ImageDataset(torch.zeros(images, 1, 2, 2), torch.arange(images) % 2, 2)
    network.fit_classifier(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)), data, seed=0)
    assert len(taken) == steps


def test_the_perceptron_has_two_hidden_layers():
    model = build_mlp((3, 33, 48), 7, 0)
    assert model(torch.zeros(2, 3, 33, 48)).shape == (2, 7)
    assert [layer.out_features for layer in model if isinstance(layer, torch.nn.Linear)] == [512, 256, 7]


@pytest.mark.usefixtures("short_training")
@pytest.mark.parametrize("name", ["cnn", "mlp"])
def test_the_seed_reaches_the_network(name):
    """Networks of different seeds, trained on noise, disagree on some of 500 images of noise."""
    rng = torch.Generator().manual_seed(0)
    images, labels = torch.rand((550, *SHAPE), generator=rng) * 2 - 1, torch.arange(550) % 2
    noise, test = (ImageDataset(images[part], labels[part], 2) for part in (slice(50), slice(50, None)))
    assert len({METRICS[name].score(noise, test, seed) for seed in range(4)}) > 1
