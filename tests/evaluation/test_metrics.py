import pytest
import torch

from fedgan.data.dataset import ImageDataset
from fedgan.errors import UsageError
from fedgan.evaluation import METRICS
from fedgan.evaluation.metrics.cnn import build_cnn

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


def test_the_built_in_metrics_are_registered():
    assert set(METRICS.names()) >= {"cnn", "logistic_regression"}


@pytest.mark.parametrize("name", METRICS.names())
class TestEveryMetric:
    def test_separable_classes_score_one(self, name):
        assert METRICS[name](stripes(400, 0), stripes(100, 1), 0) == pytest.approx(1.0, abs=0.01)

    def test_swapped_labels_score_zero(self, name):
        synthetic = stripes(400, 0)
        swapped = with_labels(synthetic, 1 - synthetic.labels)
        assert METRICS[name](swapped, stripes(100, 1), 0) == pytest.approx(0.0, abs=0.01)

    def test_labels_without_meaning_score_chance(self, name):
        test = stripes(2000, 1)
        random = torch.randint(2, (2000,), generator=torch.Generator().manual_seed(2))
        # Whatever is predicted is right with probability 1/2 for each image: 0.06 is over 5 standard deviations.
        assert METRICS[name](stripes(400, 0), with_labels(test, random), 0) == pytest.approx(0.5, abs=0.06)

    def test_training_on_shuffled_labels_separates_nothing(self, name):
        rng = torch.Generator().manual_seed(3)
        noise = ImageDataset(
            images=torch.rand((300, *SHAPE), generator=rng) * 2 - 1, labels=torch.arange(300) % 10, num_classes=10
        )
        test = ImageDataset(
            images=torch.rand((2000, *SHAPE), generator=rng) * 2 - 1, labels=torch.arange(2000) % 10, num_classes=10
        )
        assert METRICS[name](noise, test, 0) == pytest.approx(0.1, abs=0.04)

    def test_equal_seeds_give_equal_bits_and_the_global_random_state_stays(self, name):
        synthetic, test = stripes(200, 0), with_labels(stripes(200, 1), torch.randint(2, (200,)))
        before = torch.random.get_rng_state()
        first = METRICS[name](synthetic, test, 7)
        torch.rand(3)
        torch.random.set_rng_state(before)
        assert METRICS[name](synthetic, test, 7) == first
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_bytes_and_floats_are_the_same_images(self, name):
        test = stripes(100, 1)
        as_bytes = ((test.images + 1) * 127.5).round().byte()
        stored = ImageDataset(images=as_bytes, labels=test.labels, num_classes=2)
        assert METRICS[name](stripes(200, 0), stored, 0) == METRICS[name](stripes(200, 0), test, 0)

    def test_images_of_another_shape_are_refused(self, name):
        larger = ImageDataset(images=torch.zeros(4, 1, 9, 9), labels=torch.arange(4) % 2, num_classes=2)
        with pytest.raises(UsageError, match=r"\(1, 9, 9\)"):
            METRICS[name](larger, stripes(10, 1), 0)

    def test_other_classes_are_refused(self, name):
        test = stripes(10, 1)
        with pytest.raises(UsageError, match="2 synthetic classes"):
            METRICS[name](stripes(10, 0), ImageDataset(images=test.images, labels=test.labels, num_classes=3), 0)

    def test_a_single_class_is_refused(self, name):
        with pytest.raises(UsageError, match="at least two"):
            METRICS[name](with_labels(stripes(10, 0), torch.zeros(10, dtype=torch.int64)), stripes(10, 1), 0)

    def test_an_empty_test_set_is_refused(self, name):
        nothing = ImageDataset(images=torch.zeros(0, *SHAPE), labels=torch.zeros(0, dtype=torch.int64), num_classes=2)
        with pytest.raises(UsageError, match="0 test images"):
            METRICS[name](stripes(10, 0), nothing, 0)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 33, 48), (3, 64, 64)])
def test_the_network_fits_every_image_shape(shape):
    model = build_cnn(shape, 7)
    assert model(torch.zeros(2, *shape)).shape == (2, 7)
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in model.modules()) == 2
    assert sum(isinstance(layer, torch.nn.Linear) for layer in model.modules()) == 2


def test_the_seed_reaches_the_network():
    """Networks of different seeds, trained on noise, disagree on some of 500 images of noise."""
    rng = torch.Generator().manual_seed(0)
    images, labels = torch.rand((550, *SHAPE), generator=rng) * 2 - 1, torch.arange(550) % 2
    noise, test = (ImageDataset(images[part], labels[part], 2) for part in (slice(50), slice(50, None)))
    assert len({METRICS["cnn"](noise, test, seed) for seed in range(4)}) > 1
