import pytest
import torch
from torch import nn

from fedgan.errors import FedganError, UsageError
from fedgan.evaluation import generate_images


class LabelPainter(nn.Module):
    """Paints (label / num_classes) in channel 0 and tanh of the first latent in channel 1."""

    latent_dim, num_classes, image_shape = 5, 4, (3, 2, 2)

    def __init__(self, value: float = 1.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(value))
        self.dropout = nn.Dropout(0.5)
        self.largest_batch = 0

    def forward(self, latents, labels):
        assert not torch.is_grad_enabled()
        self.largest_batch = max(self.largest_batch, len(latents))
        planes = torch.stack([labels / self.num_classes, latents[:, 0].tanh(), torch.ones(len(labels))], dim=1)
        return self.dropout(self.gain * planes[:, :, None, None].expand(-1, -1, 2, 2))


def test_without_labels_every_class_comes_equally_often():
    data = generate_images(LabelPainter(), 10, seed=0)
    assert torch.bincount(data.labels).tolist() == [3, 3, 2, 2]
    assert data.num_classes == 4
    assert data.image_shape == (3, 2, 2)
    assert data.images.dtype == torch.float32


def test_labels_are_taken_in_turn_and_reach_the_generator():
    data = generate_images(LabelPainter(), 5, labels=[3, 1], seed=0)
    assert data.labels.tolist() == [3, 1, 3, 1, 3]
    torch.testing.assert_close(data.images[:, 0, 0, 0], data.labels / 4)


def test_equal_seeds_give_equal_images_whatever_the_batch():
    whole = generate_images(LabelPainter(), 37, seed=3, batch=100)
    pieces = generate_images(LabelPainter(), 37, seed=3, batch=5)
    assert torch.equal(whole.images, pieces.images)
    assert not torch.equal(whole.images, generate_images(LabelPainter(), 37, seed=4).images)


def test_batches_bound_the_memory():
    generator = LabelPainter()
    generate_images(generator, 37, seed=3, batch=5)
    assert generator.largest_batch == 5


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_generator_and_the_global_random_state_stay(training):
    generator = LabelPainter().train(training)
    before = torch.random.get_rng_state()
    data = generate_images(generator, 8, seed=0)
    assert generator.training is training
    assert torch.equal(torch.random.get_rng_state(), before)
    # In training mode dropout would have zeroed half of the plane of ones.
    assert (data.images[:, 2] == 1).all()


@pytest.mark.parametrize("labels", [[], [4], [0, -1]])
def test_a_label_that_is_no_class_is_refused(labels):
    with pytest.raises(UsageError, match="from 0 to 3"):
        generate_images(LabelPainter(), 5, labels=labels, seed=0)


def test_fewer_than_one_image_is_refused():
    with pytest.raises(UsageError, match="count"):
        generate_images(LabelPainter(), 0, seed=0)


def test_a_diverged_generator_is_named():
    with pytest.raises(FedganError, match="diverged"):
        generate_images(LabelPainter(float("nan")), 5, seed=0)
