"""Train on synthetic, test on real: a small convolutional network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.registry import METRICS, require_comparable
from fedgan.seeding import derive_seed

EPOCHS = 8
BATCH_SIZE = 128
LEARNING_RATE = 1e-3


@METRICS.register("cnn")
def cnn(synthetic: ImageDataset, test: ImageDataset, seed: int) -> float:
    """Return the accuracy in [0, 1] on `test` of a 2-conv network trained on `synthetic`.

    Adam with batches of 128 for 8 epochs, its learning rate annealed from 1e-3 to 0 by a cosine (so that the last epoch
    is not a matter of luck), always to the end: nothing is tuned or stopped on the test set.
    On one CPU equal seeds give equal bits; the global random state is neither read nor moved. Of real data it reads
    the test set only, which is public.

    Args:
        synthetic: images to train on, at least two classes; the network runs on the device they are on.
        test: real, public images to test on.
        seed: seed of the initial weights and of the order of the images.

    Raises:
        UsageError: if the two sets do not fit each other or only one class was synthesised.
    """
    require_comparable(synthetic, test)
    device = synthetic.labels.device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "cnn", "weights"))
        model = build_cnn(synthetic.image_shape, synthetic.num_classes)
    model.to(device)
    _fit(model, synthetic, torch.Generator().manual_seed(derive_seed(seed, "cnn", "order")))
    return _accuracy(model, test, device)


def build_cnn(image_shape: tuple[int, int, int], num_classes: int) -> nn.Sequential:
    """Return two 3x3 convolutions and two linear layers: images (N, C, H, W) in [-1, 1] -> logits (N, num_classes).

    Sides over 32 pixels are halved by the first convolution's stride, so that the cost stays near that of 32 pixels.
    """
    channels, height, width = image_shape
    stride = 2 if max(height, width) > 32 else 1
    features = nn.Sequential(
        nn.Conv2d(channels, 32, 3, stride=stride, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
    )
    size = features(torch.zeros(1, channels, height, width)).shape[1]
    return nn.Sequential(features, nn.Linear(size, 128), nn.ReLU(), nn.Linear(128, num_classes))


def _fit(model: nn.Module, data: ImageDataset, rng: torch.Generator) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    steps = EPOCHS * -(-len(data) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    device = data.labels.device
    for _ in range(EPOCHS):
        for indices in torch.randperm(len(data), generator=rng).split(BATCH_SIZE):
            images, labels = data.batch(indices.to(device))
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


@torch.no_grad()
def _accuracy(model: nn.Module, data: ImageDataset, device: torch.device) -> float:
    correct = 0
    for indices in torch.arange(len(data)).split(500):
        images, labels = data.batch(indices.to(data.labels.device))
        predicted: Tensor = model(images.to(device)).argmax(dim=1)
        correct += int((predicted == labels.to(device)).sum())
    return correct / len(data)
