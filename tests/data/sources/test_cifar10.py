from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torchvision

from fedgan.data import load_data
from fedgan.errors import UsageError


def pixels(batch: int) -> np.ndarray:
    return np.random.default_rng(batch).integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)


def write(root: Path) -> None:
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for batch, name in enumerate(["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"]):
        content = {"data": pixels(batch).reshape(2, -1), "labels": [batch, 9]}
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "test_batch").write_bytes(pickle.dumps({"data": pixels(5).reshape(2, -1), "labels": [5, 0]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))


def test_colour_images_keep_their_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda *_: True)
    split = load_data("cifar10", root=tmp_path, image_size=0, channels=0)
    assert split.train.images.tolist() == np.concatenate([pixels(batch) for batch in range(5)]).tolist()
    assert split.train.labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    assert split.test.images.tolist() == pixels(5).tolist()
    assert split.test.labels.tolist() == [5, 0]
    assert split.train.num_classes == 10


def test_pickles_with_another_checksum_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", lambda self: None)
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("a pickle was opened"))
    with pytest.raises(UsageError, match=r"data\.root.*cifar-10-batches-py/.*corrupted"):
        load_data("cifar10", root=tmp_path, image_size=0, channels=0)
