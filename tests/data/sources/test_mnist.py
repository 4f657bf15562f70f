from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import NoReturn
from urllib.error import URLError

import numpy as np
import numpy.typing as npt
import pytest
import torchvision

from fedgan.data import load_data
from fedgan.errors import UsageError

SOURCES = [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")]
Bytes = npt.NDArray[np.uint8]


def idx(array: Bytes) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def arrays() -> dict[str, Bytes]:
    rng = np.random.default_rng(0)
    return {
        "train-images-idx3-ubyte": rng.integers(0, 256, (12, 28, 28), dtype=np.uint8),
        "train-labels-idx1-ubyte": (np.arange(12) % 10).astype(np.uint8),
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (4, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": np.array([9, 0, 3, 3], dtype=np.uint8),
    }


def write(root: Path, folder: str, packed: bool) -> Path:
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    for name, array in arrays().items():
        if packed:
            (raw / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (raw / name).write_bytes(idx(array))
    return raw


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(self: object) -> NoReturn:
        raise URLError("no route\nto host")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", download)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(("name", "folder"), SOURCES)
def test_files_are_read_where_they_lie(tmp_path: Path, name: str, folder: str, packed: bool) -> None:
    raw = write(tmp_path, folder, packed)
    before = sorted(raw.iterdir())
    split = load_data(name, root=tmp_path, image_size=0, channels=0)
    expected = arrays()
    assert split.train.images[:, 0].tolist() == expected["train-images-idx3-ubyte"].tolist()
    assert split.train.labels.tolist() == expected["train-labels-idx1-ubyte"].tolist()
    assert split.test.images[:, 0].tolist() == expected["t10k-images-idx3-ubyte"].tolist()
    assert split.test.labels.tolist() == [9, 0, 3, 3]
    assert split.train.num_classes == split.test.num_classes == 10
    # A folder that cannot be written must do, so nothing may be unpacked beside the files.
    assert sorted(raw.iterdir()) == before


def test_the_reader_agrees_with_torchvision(tmp_path: Path) -> None:
    write(tmp_path, "MNIST", packed=False)
    oracle = torchvision.datasets.MNIST(tmp_path, train=True, download=False)
    train = load_data("mnist", root=tmp_path, image_size=0, channels=0).train
    assert train.images[:, 0].equal(oracle.data)
    assert train.labels.equal(oracle.targets)


def test_missing_files_are_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(self: torchvision.datasets.MNIST) -> None:
        write(tmp_path, "MNIST", packed=False)

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", download)
    assert len(load_data("mnist", root=tmp_path, image_size=0, channels=0).train) == 12


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(("name", "folder"), SOURCES)
def test_missing_files_without_a_network_are_one_line(tmp_path: Path, name: str, folder: str) -> None:
    raw = write(tmp_path, folder, packed=True)
    (raw / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UsageError, match=rf"data\.root.*{folder}/raw/.*t10k-labels-idx1-ubyte.*no route to host"):
        load_data(name, root=tmp_path, image_size=0, channels=0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train-images-idx3-ubyte.gz", b"not packed"),
        ("train-images-idx3-ubyte.gz", gzip.compress(bytes(5000))[:-12]),
        ("train-images-idx3-ubyte.gz", gzip.compress(b"")),
        ("train-images-idx3-ubyte.gz", gzip.compress(idx(np.zeros((12, 28, 28), np.uint8))[:-1])),
        ("train-images-idx3-ubyte.gz", gzip.compress(idx(np.zeros(12, np.uint8)))),
        ("train-labels-idx1-ubyte.gz", gzip.compress(idx(np.zeros(11, np.uint8)))),
        ("train-labels-idx1-ubyte.gz", gzip.compress(idx(np.full(12, 10, np.uint8)))),
    ],
    ids=["not packed", "torn", "empty", "short", "wrong rank", "too few labels", "label out of range"],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    raw = write(tmp_path, "MNIST", packed=True)
    (raw / name).write_bytes(content)
    with pytest.raises(UsageError, match=rf"data\.root: {raw}"):
        load_data("mnist", root=tmp_path, image_size=0, channels=0)
