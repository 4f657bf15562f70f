from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fedgan.data import DataSplit, ImageDataset
from fedgan.errors import UsageError


def ramp(records: int = 16) -> ImageDataset:
    """Every record is one grey level of its own, and its label is its index modulo 4."""
    levels = torch.arange(records, dtype=torch.uint8) * 17
    return ImageDataset(
        levels.view(-1, 1, 1, 1).expand(-1, 1, 8, 8).contiguous(),
        torch.arange(records) % 4,
        num_classes=4,
        owners=torch.arange(records) // 2,
    )


def test_batch_maps_the_bytes_onto_the_whole_range() -> None:
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    batch, labels = ImageDataset(images, torch.zeros(1, dtype=torch.int64), 1).batch(np.array([0]))
    assert batch.dtype == torch.float32
    assert labels.dtype == torch.int64
    torch.testing.assert_close(batch.flatten(), torch.linspace(-1, 1, 256))
    assert batch.min().item() == -1
    assert batch.max().item() == 1


def test_batch_does_not_depend_on_the_other_records() -> None:
    data = ramp()
    alone, _ = data.subset(torch.tensor([3])).batch(torch.tensor([0]))
    together, _ = data.batch(torch.tensor([0, 15, 3]))
    assert torch.equal(alone[0], together[2])


def test_batch_passes_float_images_through() -> None:
    images = torch.rand((5, 3, 8, 8), generator=torch.Generator().manual_seed(0)) * 2 - 1
    batch, _ = ImageDataset(images, torch.zeros(5, dtype=torch.int64), 1).batch(np.array([4, 1]))
    assert torch.equal(batch, images[[4, 1]])


@pytest.mark.parametrize("empty", [np.zeros(0, dtype=np.int64), torch.zeros(0, dtype=torch.int64)])
def test_an_empty_batch_keeps_the_shapes(empty: Any) -> None:
    images, labels = ramp().batch(empty)
    assert images.shape == (0, 1, 8, 8)
    assert images.dtype == torch.float32
    assert labels.shape == (0,)


def test_subset_keeps_order_labels_and_owners() -> None:
    part = ramp().subset(np.array([9, 2]))
    assert len(part) == 2
    assert part.image_shape == (1, 8, 8)
    assert part.num_classes == 4
    assert part.images[:, 0, 0, 0].tolist() == [9 * 17, 2 * 17]
    assert part.labels.tolist() == [1, 2]
    assert part.owners is not None
    assert part.owners.tolist() == [4, 1]


def test_subset_is_a_copy() -> None:
    data = ramp()
    data.subset(np.array([0])).images.fill_(255)
    assert data.images[0].max().item() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(4, 8, 8, dtype=torch.uint8)}, "N, C, H, W"),
        ({"images": torch.zeros(4, 1, 8, 8, dtype=torch.float64)}, "float32"),
        ({"images": torch.full((4, 1, 8, 8), 1.01)}, "-1, 1"),
        ({"images": torch.full((4, 1, 8, 8), -1.01)}, "-1, 1"),
        ({"images": torch.full((4, 1, 8, 8), torch.nan)}, "-1, 1"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, "labels"),
        ({"labels": torch.zeros(4, dtype=torch.int32)}, "labels"),
        ({"labels": torch.tensor([0, 1, 2, 1])}, r"\[0, 2\)"),
        ({"labels": torch.tensor([0, 1, -1, 1])}, r"\[0, 2\)"),
        ({"owners": torch.zeros(5, dtype=torch.int64)}, "owners"),
    ],
)
def test_contract_violations_are_refused(change: dict[str, Any], message: str) -> None:
    valid: dict[str, Any] = {
        "images": torch.zeros(4, 1, 8, 8, dtype=torch.uint8),
        "labels": torch.tensor([0, 1, 0, 1]),
        "num_classes": 2,
        "owners": torch.zeros(4, dtype=torch.int64),
    }
    assert len(ImageDataset(**valid)) == 4
    with pytest.raises(ValueError, match=message):
        ImageDataset(**(valid | change))


def test_every_fifth_record_is_held_out() -> None:
    split = DataSplit.every_fifth(ramp())
    assert (split.test.images[:, 0, 0, 0] // 17).tolist() == [0, 5, 10, 15]
    assert (split.train.images[:, 0, 0, 0] // 17).tolist() == [1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14]


def test_a_split_of_two_shapes_names_the_key() -> None:
    small = ImageDataset(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64), 1)
    large = ImageDataset(torch.zeros(1, 1, 9, 9, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64), 1)
    with pytest.raises(UsageError, match=r"data\.image_size"):
        DataSplit(train=small, test=large)


def test_a_split_needs_training_records_and_one_set_of_classes() -> None:
    data = ramp()
    with pytest.raises(UsageError, match=r"data\.root"):
        DataSplit(train=data.subset(np.zeros(0, dtype=np.int64)), test=data)
    with pytest.raises(ValueError, match="classes"):
        DataSplit(train=data, test=ImageDataset(data.images, data.labels, num_classes=5))
