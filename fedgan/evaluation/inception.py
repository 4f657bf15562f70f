"""Inception's real weights, found or downloaded and never made up, and its features."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from pickle import UnpicklingError
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from fedgan.data.dataset import ImageDataset
from fedgan.errors import UsageError

URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
DIGEST = "6726825d"
"""What the SHA-256 of the file begins with, as its name says."""

_KEY = "evaluation.inception_weights"
_BATCH = 32


def find_weights(given: Path | None) -> Path:
    """Return the file of Inception's weights: `given`, or torch's cache, or the download that fills the cache.

    Raises:
        UsageError: there is no such file, it is another one, or it cannot be downloaded.
    """
    path = given or Path(torch.hub.get_dir()) / "checkpoints" / URL.rsplit("/", 1)[1]
    if given is None and not path.exists():
        _download(path)
    try:
        digest = sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"{_KEY}: {path} cannot be read: {error.strerror}", _KEY) from None
    if not digest.startswith(DIGEST):
        raise UsageError(
            f"{_KEY}: {path} does not hold Inception's weights: its SHA-256 begins with {digest[: len(DIGEST)]}, not "
            f"{DIGEST}; give the file of {URL}",
            _KEY,
        )
    return path


def _download(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(URL, str(path), hash_prefix=DIGEST, progress=False)
    except (OSError, RuntimeError) as error:
        raise UsageError(
            f"metric 'fid' needs the weights of Inception, and {URL} cannot be downloaded ({error}): give the "
            f"file with --inception-weights or {_KEY}",
            _KEY,
        ) from None


def _read(weights: Path) -> dict[str, Tensor]:
    try:
        return dict(torch.load(weights, map_location="cpu", weights_only=True))
    except (UnpicklingError, RuntimeError, EOFError):
        raise UsageError(f"{_KEY}: {weights} is no file of tensors", _KEY) from None


def inception_features(images: ImageDataset, weights: Path) -> Tensor:
    """Return the 2,048 pooled features of each image, (N, 2048) float64 on the CPU, on the device of the images.

    Images are rounded to 8 bits, grey ones repeated over three channels, and resized to 299 pixels as the original
    TensorFlow graph does (torch-fidelity's "inception-v3-compat").

    Args:
        images: with 1 or 3 channels.
        weights: from `find_weights`.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    device = images.labels.device
    with TemporaryDirectory() as folder:
        # torch-fidelity would unpickle whatever the file holds: it gets a file of tensors and nothing else.
        tensors = Path(folder) / "weights.pth"
        torch.save(_read(weights), tensors)
        network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(tensors))
    network = network.to(device)
    parts = []
    with torch.no_grad():
        for indices in torch.arange(len(images), device=device).split(_BATCH):
            pixels = ((images.batch(indices)[0] + 1) * 127.5).round().to(torch.uint8)
            parts.append(network(pixels.expand(-1, 3, -1, -1))[0].cpu().double())
    return torch.cat(parts)
