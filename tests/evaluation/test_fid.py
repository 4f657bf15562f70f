"""FID: the right weights or none, and torch-fidelity's own features of them."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch

from fedgan.data.dataset import ImageDataset
from fedgan.errors import UsageError
from fedgan.evaluation import choose_metrics, inception
from fedgan.evaluation.inception import find_weights, inception_features


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, and no network; the cache."""

    def fail(*_: Any, **__: Any) -> None:
        raise URLError("no network in this test")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


@pytest.mark.usefixtures("offline")
def test_without_weights_there_is_one_clear_line_and_no_number() -> None:
    with pytest.raises(
        UsageError, match=r"'fid' needs the weights of Inception.*no network.*--inception-weights"
    ) as error:
        choose_metrics("cnn,fid")
    assert len(str(error.value).splitlines()) == 1
    assert error.value.exit_code == 2


@pytest.mark.usefixtures("offline")
def test_other_weights_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save({"fc.bias": torch.zeros(1008)}, file)
    with pytest.raises(UsageError, match=r"weights\.pth does not hold Inception's weights: its SHA-256 begins with"):
        choose_metrics("fid", file)
    with pytest.raises(UsageError, match=r"absent\.pth cannot be read: No such file"):
        choose_metrics("fid", tmp_path / "absent.pth")


def test_what_is_in_the_cache_is_checked_too(offline: Path) -> None:
    offline.mkdir(parents=True)
    (offline / "weights-inception-2015-12-05-6726825d.pth").write_bytes(b"something else")
    with pytest.raises(UsageError, match="does not hold Inception's weights"):
        find_weights(None)


def test_a_file_that_would_run_code_runs_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Eight digits of a hash can be forged."""

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "ran"),))

    file = tmp_path / "weights.pth"
    torch.save({"fc.bias": Evil()}, file)
    monkeypatch.setattr(inception, "DIGEST", sha256(file.read_bytes()).hexdigest()[:8])
    with pytest.raises(UsageError, match=r"weights\.pth is no file of tensors"):
        inception_features(ImageDataset(torch.zeros(2, 1, 8, 8), torch.arange(2), 2), find_weights(file))
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_features_and_distance_are_torch_fidelitys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On weights out of a random generator, under a digest of theirs: what is tested is the way through the network."""
    from torch_fidelity import feature_extractor_inceptionv3 as original

    with monkeypatch.context() as patched, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        patched.setattr(original, "load_state_dict_from_url", lambda *_, **__: {})
        patched.setattr(original.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        network = original.FeatureExtractorInceptionV3("inception", ["2048"])
    file = tmp_path / "weights.pth"
    torch.save(network.state_dict(), file)
    monkeypatch.setattr(inception, "DIGEST", sha256(file.read_bytes()).hexdigest()[:8])
    bytes_ = torch.randint(256, (6, 1, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    images = ImageDataset(bytes_, torch.arange(6) % 2, 2)
    expected = network(bytes_.expand(-1, 3, -1, -1))[0].double()
    torch.testing.assert_close(inception_features(images, find_weights(file)), expected, rtol=1e-4, atol=1e-6)
    metric = choose_metrics("fid", file)["fid"]
    dark = ImageDataset(bytes_ // 4, images.labels, 2)
    assert metric.score(images, images, 0) == pytest.approx(0.0, abs=1e-3)
    assert metric.score(dark, images, 0) > 10 * metric.score(images, images, 0)
