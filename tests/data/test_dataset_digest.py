from __future__ import annotations

from hashlib import sha256

import numpy as np
import torch

from fedgan.data import ImageDataset, dataset_digest


def dataset() -> ImageDataset:
    images = torch.arange(2 * 3 * 8 * 8, dtype=torch.int64).remainder(251).to(torch.uint8).view(2, 3, 8, 8)
    return ImageDataset(images, torch.tensor([1, 0]), num_classes=2)


def test_digest_is_the_documented_hash() -> None:
    data = dataset()
    text = b"images |u1 (2, 3, 8, 8)\n" + data.images.numpy().tobytes() + b"labels <i8 (2,)\n"
    assert dataset_digest(data) == sha256(text + b"\1" + b"\0" * 15).digest()


def test_equal_content_has_equal_digests() -> None:
    data = dataset()
    strided = data.images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert not strided.is_contiguous()
    assert dataset_digest(ImageDataset(strided, data.labels.clone(), 2)) == dataset_digest(data)


def test_any_difference_changes_the_digest() -> None:
    data = dataset()
    pixel = data.images.clone()
    pixel[1, 2, 7, 7] += 1
    variants = [
        data,
        ImageDataset(pixel, data.labels, 2),
        ImageDataset(data.images, torch.tensor([1, 1]), 2),
        data.subset(np.array([1, 0])),
        data.subset(np.array([0])),
        data.subset(np.array([0, 1, 1])),
        data.subset(np.zeros(0, dtype=np.int64)),
        ImageDataset(data.images.view(2, 3, 4, 16), data.labels, 2),
        ImageDataset(data.batch(torch.arange(2))[0], data.labels, 2),
    ]
    assert len({dataset_digest(variant) for variant in variants}) == len(variants)
