"""The small classifiers that metrics train, and how."""

from __future__ import annotations

from math import ceil, prod

import torch
from torch import Tensor, nn

from fedgan.data.dataset import ImageDataset

BATCH_SIZE = 128
LEARNING_RATE = 1e-3
EPOCHS = 8
STEPS = 300  # at least, as 8 epochs of a small set teach nothing


def build_cnn(image_shape: tuple[int, int, int], num_classes: int, seed: int) -> nn.Sequential:
    """Return two 3x3 convolutions and two linear layers: images (N, C, H, W) in [-1, 1] -> logits (N, num_classes).

    Sides over 32 pixels are halved by the first convolution's stride, so that the cost stays near that of 32 pixels.
    All but the last layer give 128 features >= 0 an image. The weights depend on `seed` alone; the global random state
    is neither read nor moved.
    """
    channels, height, width = image_shape
    stride = 2 if max(height, width) > 32 else 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        features = nn.Sequential(
            nn.Conv2d(channels, 32, 3, stride=stride, padding=1),
            nn.MaxPool2d(2),  # before the rectifier, which gives the same for a quarter of the work
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
        )
        size = features(torch.zeros(1, channels, height, width)).shape[1]
        network = nn.Sequential(features, nn.Linear(size, 128), nn.ReLU(), nn.Linear(128, num_classes))
        return network.to(memory_format=torch.channels_last)


def build_mlp(image_shape: tuple[int, int, int], num_classes: int, seed: int) -> nn.Sequential:
    """Return a perceptron with hidden layers of 512 and 256 units: images (N, C, H, W) -> logits (N, num_classes).

    The weights depend on `seed` alone; the global random state is neither read nor moved.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(prod(image_shape), 512),
            nn.ReLU(),
            nn.Linear(512, 256),
            nn.ReLU(),
            nn.Linear(256, num_classes),
        )


def fit_classifier(model: nn.Module, data: ImageDataset, *, seed: int, epochs: int | None = None) -> None:
    """Train `model` on `data`, on the device of both, always to the end.

    Adam with batches of 128, its learning rate annealed from 1e-3 to 0 by a cosine, so that the last epoch is not a
    matter of luck: no epoch is chosen by its score, and images are not augmented. On one CPU equal seeds give equal
    bits.

    Args:
        model: images (N, C, H, W) in [-1, 1] -> logits (N, classes).
        data: what it learns.
        seed: of the order of the images.
        epochs: times that every image is seen; None for 8, or as many as 300 steps need.
    """
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    batches = ceil(len(data) / BATCH_SIZE)
    epochs = max(EPOCHS, ceil(STEPS / batches)) if epochs is None else epochs
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * batches)
    device = data.labels.device
    for _ in range(epochs):
        for indices in torch.randperm(len(data), generator=rng).split(BATCH_SIZE):
            images, labels = data.batch(indices.to(device))
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


@torch.no_grad()
def outputs(model: nn.Module, data: ImageDataset, device: torch.device) -> Tensor:
    """Return what `model`, which is on `device`, makes of every image of `data`, (N, ...) on `device`."""
    batches = torch.arange(len(data), device=data.labels.device).split(500)
    return torch.cat([model(data.batch(indices)[0].to(device)) for indices in batches])
