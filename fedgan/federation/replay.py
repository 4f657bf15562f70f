"""A vault's memory of its last release: a request repeated after a crash is answered without a second charge."""

from __future__ import annotations

import json
from dataclasses import fields
from hashlib import sha256
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load, save

from fedgan.federation.requests import Arrays, EmbedRequest, Release, TrainRequest
from fedgan.files import write_bytes

_FACTS = [entry.name for entry in fields(Release) if entry.name != "arrays"]


def kept_release(ledger: Path) -> Path:
    """Return the file beside `ledger` that keeps its client's last release."""
    return ledger.with_suffix(".release")


def forget_releases(ledgers: Path) -> None:
    """Remove the releases kept in the folder `ledgers`, once a checkpoint holds what they led to."""
    for path in ledgers.glob("*.release"):
        path.unlink(missing_ok=True)


def request_digest(request: EmbedRequest | TrainRequest) -> str:
    """Return SHA-256 over every field of `request`, arrays included."""
    digest = sha256(type(request).__name__.encode())
    for entry in fields(request):
        value = getattr(request, entry.name)
        text = _arrays_digest(value) if entry.name == "arrays" else repr(value)
        digest.update(f"{entry.name}={text};".encode())
    return digest.hexdigest()


def _arrays_digest(arrays: Arrays) -> str:
    digest = sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape};".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def remember(path: Path, request: EmbedRequest | TrainRequest, release: Release) -> None:
    """Keep `release` as the answer to `request`, in place of the one kept before. `Vault` keeps private ones alone.

    It survives the end of this process. It is not synced, as a ledger is: what a power failure takes is charged again.
    """
    facts = {name: getattr(release, name) for name in _FACTS}
    metadata = {
        "request": request_digest(request),
        "release": json.dumps(facts),
        "arrays": _arrays_digest(release.arrays),
    }
    write_bytes(path, save(release.arrays, metadata=metadata), mode=0o600, durable=False)


def recall(path: Path, request: EmbedRequest | TrainRequest) -> Release | None:
    """Return the release kept for exactly this `request`, or None; a file that cannot be read counts as none."""
    try:
        content = path.read_bytes()
        arrays = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        if header["request"] != request_digest(request) or header["arrays"] != _arrays_digest(arrays):
            return None
        return Release(arrays=arrays, **json.loads(header["release"]))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None
