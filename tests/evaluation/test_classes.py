"""Which classes fail, on sets whose failure is known."""

from __future__ import annotations

from math import log2

import pytest
import torch
from torch import Tensor

from fedgan.data.dataset import ImageDataset
from fedgan.errors import UsageError
from fedgan.evaluation import METRICS, network
from fedgan.evaluation.classes import ClassAnalysis, accuracy_by_class, analyse_classes

CLASSES = 3


def bars(labels: Tensor, seed: int, classes: int = CLASSES) -> ImageDataset:
    """Images of 3 x 3 pixels blocks whose bright column tells the class."""
    images = -0.7 + 0.1 * torch.randn(len(labels), 1, 6, 6, generator=torch.Generator().manual_seed(seed))
    for label in range(CLASSES):
        images[labels == label, :, :, 2 * label : 2 * label + 2] += 1.2
    return ImageDataset(images.clamp(-1, 1), labels, classes)


def turns(count: int) -> Tensor:
    return torch.arange(count) % CLASSES


@pytest.fixture(scope="module")
def swapped() -> ClassAnalysis:
    """What was generated as class 0 is, for one image of four, an image of class 2."""
    shown = turns(600)
    asked = shown.clone()
    asked[(shown == 2).nonzero()[:, 0][:50]] = 0
    images = bars(shown, 0).images
    return analyse_classes(ImageDataset(images, asked, CLASSES), bars(turns(90), 1), 0)


def test_the_confusion_is_that_of_what_was_generated(swapped: ClassAnalysis) -> None:
    assert swapped.confusion == [[200, 0, 50], [0, 200, 0], [0, 0, 150]]
    assert swapped.recognised == [0.8, 1.0, 1.0]


def test_entropy_is_that_of_the_classes_seen(swapped: ClassAnalysis) -> None:
    entropy = -(0.8 * log2(0.8) + 0.2 * log2(0.2))
    assert swapped.entropy == pytest.approx([entropy, 0.0, 0.0], abs=1e-9)
    assert swapped.conditional_entropy == pytest.approx(entropy * 250 / 600, abs=1e-9)


def test_accuracy_is_counted_by_class_and_agrees_with_the_metric(swapped: ClassAnalysis) -> None:
    assert [sum(row) for row in swapped.mistaken] == [30, 30, 30]
    assert swapped.accuracy == [row[label] / 30 for label, row in enumerate(swapped.mistaken)]
    shown = turns(300)
    asked = torch.where(shown == 0, 1, shown)  # class 0 is never asked for
    synthetic, test = ImageDataset(bars(shown, 0).images, asked, CLASSES), bars(turns(90), 1)
    analysis = analyse_classes(synthetic, test, 0)
    assert analysis.accuracy == [0.0, 1.0, 1.0] == accuracy_by_class(synthetic, test, 0)
    assert analysis.mistaken[0] == [0, 30, 0]
    assert METRICS["cnn"].score(synthetic, test, 0) == pytest.approx(2 / 3)


def test_a_class_without_images_has_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "EPOCHS", 1)  # however well the classifiers learn
    monkeypatch.setattr(network, "STEPS", 5)
    labels = turns(120) % 2
    analysis = analyse_classes(bars(labels, 0), bars(turns(60), 1), 0)
    assert analysis.recognised[2] is None and analysis.entropy[2] is None
    assert analysis.accuracy[2] == 0.0
    analysis = analyse_classes(bars(turns(120), 0), bars(turns(60) % 2, 1), 0)
    assert analysis.accuracy[2] is None


def test_a_test_set_of_one_class_is_refused() -> None:
    with pytest.raises(UsageError, match="test images are all of one class"):
        analyse_classes(bars(turns(30), 0), bars(torch.zeros(30, dtype=torch.int64), 1), 0)
